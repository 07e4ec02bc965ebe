"""`keras-dqn plot`: what it draws, where, and what it refuses."""

import importlib.util
import io
import re

import numpy as np
import pytest
from PIL import Image

from keras_dqn.report import drawing
from tests import logs
from tests import runs

pytestmark = pytest.mark.numpy


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, scores, evaluations=(), **settings):
    lines = [logs.metrics(1000 * i, score) for i, score in enumerate(scores)]
    lines += [logs.evaluation(*each) for each in evaluations]
    return logs.write(folder, lines, **settings)


def count_of(path, color):
    """The number of pixels that have a color, such as "#0072b2"."""
    with Image.open(path) as image:
        assert image.size == (1200, 675)
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((pixels == wanted).all(axis=1).sum())


def test_a_curve_is_drawn_into_the_directory_of_the_run(here, capsys):
    run = write(here / "a", [0.0, 10.0])
    assert runs.command("plot", run) == 0
    picture = run / "curve.png"
    assert str(picture) in capsys.readouterr().out
    assert count_of(picture, drawing.COLORS[0]) > 1000
    assert count_of(picture, drawing.COLORS[1]) == 0
    before = picture.read_bytes()
    assert runs.command("plot", run) == 74
    assert "--force" in capsys.readouterr().err
    assert runs.command("plot", run, "--force") == 0
    assert picture.read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == [
        "curve.png",
        "metrics.jsonl",
        "settings.json",
    ]


def test_evaluations_are_drawn_beside_the_curve(here):
    plain = write(here / "a", [0.0, 10.0])
    evaluated = write(here / "b", [0.0, 10.0], [(500, [1.0, 9.0])])
    assert runs.command("plot", plain) == runs.command("plot", evaluated) == 0
    counts = [count_of(p / "curve.png", drawing.COLORS[0]) for p in (plain, evaluated)]
    assert counts[1] > counts[0] + 200  # the dot and its interval


def test_several_runs_are_drawn_in_their_colors_into_the_current_directory(here):
    folders = [write(here / name, [i, 10.0 - i]) for i, name in enumerate("abc")]
    assert runs.command("plot", *folders) == 0
    counts = [count_of("curve.png", color) for color in drawing.COLORS]
    assert min(counts[:3]) > 500
    assert max(counts[3:-1]) == 0  # the last is black, as is the text


def test_runs_of_a_group_are_one_curve_with_its_interval(here):
    folders = [
        write(here / f"{rate}-{seed}", [seed, 99 * rate + seed], seed=seed, gamma=rate)
        for rate in (0.9, 0.99)
        for seed in (1, 2)
    ]
    assert runs.command("plot", *folders, "--group-by", "gamma") == 0
    assert min(count_of("curve.png", color) for color in drawing.COLORS[:2]) > 500
    assert count_of("curve.png", drawing.COLORS[2]) == 0


def test_a_plot_can_be_an_svg_of_another_metric_over_hours(here):
    folder = write(here / "a", [0.0, 10.0])
    words = ("--metric", "q_mean", "--x", "hours", "--out", "q.svg")
    assert runs.command("plot", folder, *words) == 0
    text = (here / "q.svg").read_text()
    assert "mean of Q(s, a)" in text and "hours of training" in text
    assert drawing.COLORS[0] in text


def test_names_of_runs_are_shown_as_they_are(here):
    names = ["_hidden", "$x$ <script>"]
    folders = [write(here / name, [0.0, 10.0]) for name in names]
    assert runs.command("plot", *folders, "--out", "names.svg") == 0
    text = (here / "names.svg").read_text()
    assert "_hidden" in text and "$x$ &lt;script&gt;" in text
    assert "<script>" not in text


def test_many_runs_fit_under_the_plot(here):
    folders = [write(here / f"run-{i:02}", [i, 10.0]) for i in range(25)]
    assert runs.command("plot", *folders, "--out", "many.svg") == 0
    text = (here / "many.svg").read_text()
    assert len(re.findall(r"run-\d\d", text)) == 20 and "and 5 more" in text


def test_a_damaged_line_is_a_warning_on_standard_error(here, capsys):
    lines = [logs.metrics(0, 1.0), "{", logs.metrics(9, 2.0)]
    assert runs.command("plot", logs.write(here / "a", lines)) == 0
    error = capsys.readouterr().err
    assert error.startswith("Warning: ") and "metrics.jsonl, line 3" in error


def test_a_run_without_a_value_is_left_out(here, capsys):
    folders = [write(here / "a", [None]), write(here / "b", [1.0, 2.0])]
    assert runs.command("plot", *folders) == 0
    assert "1 of 2 runs have no value of score_mean" in capsys.readouterr().err
    assert runs.command("plot", folders[0]) == 78
    assert "No run has a value of score_mean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--metric", "q_man"], 78, "Did you mean `q_mean`?"),
        (["--group-by", "learning-rat"], 78, "Did you mean `learning_rate`?"),
        (["--out", "a.jpg"], 78, "must end with .png or .svg"),
        (["--out", "nowhere/a.png"], 74, "No such directory"),
        (["--x", "days"], 64, "invalid choice"),
        (["--forse"], 64, "--force"),
        (["nothing"], 74, "nothing does not exist"),
        (["."], 74, "is no run"),
        (["notes.txt"], 78, "is no run"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line_or_two(
    words, code, message, here, capsys
):
    folder = write(here / "a", [1.0])
    (here / "notes.txt").write_text("nothing")
    before = sorted(here.rglob("*"))
    assert runs.command("plot", folder, *words) == code
    text = [each for each in io.StringIO(capsys.readouterr().err) if "Warn" not in each]
    assert message in "".join(text) and len(text) <= 2
    assert sorted(here.rglob("*")) == before


def test_without_matplotlib_the_command_says_what_to_install(here, capsys, monkeypatch):
    folder = write(here / "a", [1.0])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert runs.command("plot", folder) == 78
    text = capsys.readouterr().err
    assert "pip install 'keras_dqn[plot]'" in text and "matplotlib" in text


def test_a_run_without_records_is_refused_by_what_it_lacks(here, capsys):
    lines = [logs.start(logs.settings()), logs.evaluation(9, [1.0])]
    path = logs.write_packed(here / "a.jsonl.gz", lines)
    assert runs.command("plot", path) == 78
    assert "No run has a value of score_mean" in capsys.readouterr().err
