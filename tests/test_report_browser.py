"""A page of `keras-dqn report` in a browser: Chromium, without a window."""

import pytest

from tests import logs
from tests import runs
from tests.browser import opened
from tests.pages import Page

pytestmark = [pytest.mark.numpy, pytest.mark.slow]

LIGHT_AND_DARK = {1: "rgb(29, 33, 39)", 0: "rgb(232, 234, 237)"}  # of text


@pytest.mark.parametrize("scheme", LIGHT_AND_DARK)
def test_the_charts_are_drawn_without_an_error(scheme, tmp_path):
    lines = [logs.metrics(100 * i, float(i % 5)) for i in range(50)]
    lines += [logs.episode(100 * i, float(i % 7)) for i in range(50)]
    lines += [logs.evaluation(2_000, [1.0, 2.0]), logs.evaluation(4_900, [3.0, 4.0])]
    run = logs.write(tmp_path / "run", lines)
    assert runs.command("report", run) == 0
    text, console = opened((run / "report.html").as_uri(), tmp_path / "profile", scheme)
    assert console == []
    found = Page(text)
    drawn = [a for _, a in found.tags if "js-plotly-plot" in a.get("class", "")]
    assert len(drawn) == len(found.charts) == 6
    lines = [
        a["d"]
        for tag, a in found.tags
        if tag == "path" and a.get("class") in ("js-line", "js-fill")
    ]
    # One of score, loss, Q and throughput, two of epsilon and beta, five of scores.
    assert len([path for path in lines if "L" in path or "H" in path]) >= 11
    dots = [a for _, a in found.tags if a.get("class") == "point"]
    assert len(dots) == 2
    # Text has the color of the scheme.
    assert f"fill: {LIGHT_AND_DARK[scheme]}" in text
    assert f"fill: {LIGHT_AND_DARK[1 - scheme]}" not in text
