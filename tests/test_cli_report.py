"""`keras-dqn report`: a page that needs nothing else, with what the log has."""

import base64
import importlib.util
import json
import re

import pytest

from keras_dqn import presets
from keras_dqn.report import charts
from keras_dqn.report import page
from tests import logs
from tests import runs
from tests.pages import Page

pytestmark = pytest.mark.numpy

LINES = [
    logs.metrics(0, None, loss=None, q_mean=None, q_std=None, updates=0),
    logs.episode(40, 1.0),
    logs.episode(150, 3.0),
    logs.metrics(200, 2.0, loss=0.25, q_mean=3.0, q_std=0.5, updates=7),
    logs.evaluation(300, [1.0, 3.0]),
    logs.episode(400, 5.0),
    logs.metrics(400, 3.0, loss=0.125, beta=0.5, updates=9, env_steps_per_second=50.0),
    logs.evaluation(400, [2.0, 2.0, 5.0], is_final=True),
]


@pytest.fixture
def run(tmp_path):
    return logs.write(tmp_path / "my run", LINES, seed=3, env_steps=400)


def report(path, *words):
    assert runs.command("report", path, *words) == 0
    return Page((path / "report.html").read_text())


def traces(chart):
    return {each["name"]: each for each in chart["traces"]}


def test_the_charts_have_the_numbers_of_the_log(run):
    found = report(run).charts
    score = traces(found["Score"])
    curve = score["mean of the last 100 games"]
    assert (curve["x"], curve["y"]) == ([0, 200, 400], [None, 2, 3])
    points = score["evaluation, mean and 95 % interval"]
    assert (points["x"], points["y"]) == ([300, 400], [2, 3])
    assert points["error_y"]["array"] == pytest.approx([1.96, 1.96])  # both std / sqrt
    [loss] = found["Loss"]["traces"]
    assert loss["y"] == [None, 0.25, 0.125]
    low, high, mean = found["Q(s, a): mean and standard deviation"]["traces"]
    assert (low["y"], mean["y"], high["y"]) == (
        [None, 2.5, 1.75],
        [None, 3, 2],
        [None, 3.5, 2.25],
    )
    both = traces(found["Epsilon and beta"])
    assert both["epsilon"]["y"] == [0.1, 0.1, 0.1]
    assert both["beta"]["y"] == [0.4, 0.4, 0.5]
    [rate] = found["Throughput"]["traces"]
    assert rate["y"] == [100, 100, 50]
    assert rate["x"] == pytest.approx([0, 2 / 3600, 6 / 3600])
    shares = traces(found["Distribution of scores of games"])
    edges = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    first = shares["training, first quarter (1)"]
    assert (first["x"], first["y"]) == (edges, [1, 0, 0, 0, 0, 0])
    assert shares["training, second quarter (1)"]["y"] == [0, 0, 1, 0, 0, 0]
    assert shares["training, last quarter (1)"]["y"] == [0, 0, 0, 0, 1, 0]
    last = shares["last evaluation (3)"]["y"]
    assert last == pytest.approx([0, 2 / 3, 0, 0, 1 / 3, 0])
    assert len(shares) == 4  # no episode ended in the third quarter


def test_every_chart_has_its_place_in_the_page(run):
    found = report(run)
    places = [a["id"] for _, a in found.tags if a.get("class") == "chart"]
    assert places == [f"chart-{i}" for i in range(len(found.charts))]
    assert found.texts["figcaption"] == list(found.charts)


def test_the_tables_have_what_differs_and_what_was_logged(run):
    found = report(run)
    settings = {row[0]: row[1:3] for row in found.table_of("setting")}
    assert settings["seed"] == ["3", "7"] and settings["gamma"] == ["0.99", "0.99"]
    assert len(settings) == len(presets.breakout().to_dict())
    assert found.marked == ["env_steps", "seed"]
    values = {}
    for table in found.tables:
        if table[0][0] == "name":
            values |= dict(table[1:])
    assert values["life_loss"] == "terminal" and values["keras"] == "3.15.1"
    assert values["backend"] == "jax" and values["device"] == "CPU"
    rows = found.table_of("agent steps")
    assert [row[:2] for row in rows] == [["300", "2.00"], ["400", "3.00"]]
    assert rows[0][2] == "0.04 to 3.96"
    assert [row[-1] for row in rows] == ["", "after training"]
    assert found.texts["code"] == [
        "KERAS_BACKEND=jax keras-dqn train --preset breakout --env-steps 400 --seed 3"
    ]
    tiles = dict(zip(found.texts["dt"], found.texts["dd"], strict=True))
    assert tiles["agent steps"] == "400" and tiles["updates"] == "9"
    assert tiles["training games"] == "3" and tiles["last evaluation"] == "3.00"


def test_the_page_loads_nothing(run):
    found = report(run)
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert not re.match(r"\s*(\w+:)?//", attributes.get(name, ""))
    [policy] = [a["content"] for _, a in found.tags if "http-equiv" in a]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy and "connect-src" not in policy
    [style] = found.texts["style"]
    assert "url(" not in style and "@import" not in style


def test_the_page_has_a_light_and_a_dark_scheme_with_the_same_colors(run):
    [style] = report(run).texts["style"]
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    names = re.compile(r"(--[\w]+):")
    defined = set(names.findall(light))
    assert defined == set(names.findall(dark)) and len(defined) > 10
    text = json.dumps(report(run, "--force").charts)
    assert set(re.findall(r'"(--\w+)"', text)) <= defined
    assert set(re.findall(r"var\((--\w+)\)", style)) <= defined


def test_text_from_files_cannot_run(tmp_path):
    evil = "<script>alert('1')</script>&\"'"
    values = logs.settings(env_id=evil)
    changes = {
        "env_id": evil,
        "device": evil,
        "versions": {evil: evil},
        "env_options": {evil: [evil, {evil: evil}]},
    }
    folder = tmp_path / "<script>alert(1)<" / "x"
    folder = folder.with_name("<img src=x onerror=alert(1)>")
    logs.write(folder, [logs.start(values, **changes), *LINES, "{<script>"])
    (folder / "settings.json").write_text(json.dumps(values))
    found = report(folder)
    assert found.texts["h1"] == ["<img src=x onerror=alert(1)>"]
    assert found.texts["title"] == found.texts["h1"]
    assert len(found.texts["script"]) == 3
    assert "img" not in found.texts
    assert any(evil in row for table in found.tables for row in table)
    assert all("onerror" not in attributes for _, attributes in found.tags)
    assert "skipped" in found.texts["li"][-1]


def test_a_small_film_is_embedded_and_a_large_one_linked(run, tmp_path, monkeypatch):
    (run / "video.mp4").write_bytes(b"film" * 100)
    found = report(run)
    [video] = [attributes for tag, attributes in found.tags if tag == "video"]
    kind, data = video["src"].split(",")
    assert kind == "data:video/mp4;base64"
    assert base64.b64decode(data) == b"film" * 100
    monkeypatch.setattr(page, "LARGEST_VIDEO_BYTES", 400)
    found = report(run, "--force")
    assert [a["src"] for tag, a in found.tags if tag == "video"] == ["video.mp4"]
    assert [a["href"] for tag, a in found.tags if tag == "a"] == ["video.mp4"]
    out = tmp_path / "elsewhere.html"
    assert runs.command("report", run, "--out", out) == 0
    found = Page(out.read_text())
    assert [a["href"] for tag, a in found.tags if tag == "a"] == ["my%20run/video.mp4"]


def test_a_run_that_has_just_begun_has_a_page_without_charts(tmp_path):
    found = report(logs.write(tmp_path / "new", []))
    assert found.charts == {}
    assert any("no values yet" in text for text in found.texts["p"])
    assert any("No evaluation was logged" in text for text in found.texts["p"])


def test_a_chart_without_values_is_left_out(tmp_path):
    found = report(logs.write(tmp_path / "new", LINES[:1]))
    assert list(found.charts) == ["Epsilon and beta", "Throughput"]


def test_settings_of_another_version_are_shown_without_a_comparison(run):
    values = {**logs.settings(), "new_setting": 1}
    (run / "settings.json").write_text(json.dumps(values))
    found = report(run)
    assert ["new_setting", "1"] in [row for table in found.tables for row in table]
    assert found.marked == [] and "code" not in found.texts
    assert any("not valid in this version" in text for text in found.texts["p"])


def test_of_a_long_log_some_records_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "MOST_POINTS", 4)
    lines = [logs.metrics(10 * i, float(i)) for i in range(10)]
    found = report(logs.write(tmp_path / "long", lines))
    [curve] = found.charts["Score"]["traces"]
    assert curve["x"] == [0, 30, 60, 90] and curve["y"] == [0, 3, 6, 9]
    assert any("One record in 3 is drawn" in text for text in found.texts["p"])


def test_a_log_file_has_its_page_in_the_current_directory(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    lines = [logs.start(logs.settings()), *LINES]
    path = logs.write_packed(tmp_path / "kept.jsonl.gz", lines)
    assert runs.command("report", path) == 0
    size = (tmp_path / "report.html").stat().st_size
    text = capsys.readouterr().out
    assert text == f"Wrote report.html ({size / 1e6:.1f} MB)\n"
    assert 3e6 < size < 9e6  # nearly all of it is plotly.js


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--out", "page.htm"], 78, "must end with .html"),
        (["--out", "nowhere/page.html"], 74, "No such directory"),
        (["--fore"], 64, "--force"),
    ],
)
def test_what_cannot_be_written_is_refused(words, code, message, run, capsys):
    assert runs.command("report", run, *words) == code
    assert message in capsys.readouterr().err
    assert not list(run.glob("*.html"))


def test_a_page_is_only_replaced_with_force(run, capsys):
    report(run)
    (run / "report.html").write_text("old")
    assert runs.command("report", run) == 74
    assert "--force" in capsys.readouterr().err
    assert (run / "report.html").read_text() == "old"
    report(run, "--force")
    assert runs.command("report", run.parent) == 74
    assert "is no run" in capsys.readouterr().err


def test_without_plotly_the_command_says_what_to_install(run, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert runs.command("report", run) == 78
    text = capsys.readouterr().err
    assert "pip install 'keras_dqn[plot]'" in text and "plotly" in text
