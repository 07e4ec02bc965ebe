"""`keras-dqn compare`: the numbers in its table, and what it refuses."""

import re

import pytest

from tests import logs
from tests import runs

pytestmark = pytest.mark.numpy


def write(folder, *evaluations):
    lines = [
        logs.metrics(0, 1.0, training_seconds=0.0),
        logs.metrics(360_000, 1.0, training_seconds=5_400.0),
        *[logs.evaluation(*each) for each in evaluations],
    ]
    return logs.write(folder, lines)


def row_of(text, name):
    """The numbers in the row of a run: its line and the one below it."""
    lines = text.splitlines()
    [number] = [
        i for i, line in enumerate(lines) if line.strip().startswith(f"{name} ")
    ]
    return [re.split(r"\s{2,}", line.strip()) for line in lines[number : number + 2]]


def test_the_table_has_the_last_evaluation_of_each_run(tmp_path, capsys):
    first = write(tmp_path / "first", (100, [9.0]), (360_000, [2.0] * 4))
    second = write(tmp_path / "second", (360_000, [0.0, 2.0, 4.0, 90.0]))
    assert runs.command("compare", first, second) == 0
    text = capsys.readouterr().out
    row, below = row_of(text, "first")
    # Equal scores have no interval. The evaluation before the last does not count.
    assert row == ["first", "2.00", "2.00", "2.00", "-", "4", "0.05", "360,000", "1.50"]
    row, below = row_of(text, "second")
    # Mean 96 / 4; median of 2 and 4; IQM without 0 and 90; 1 tie and 2 of 4 higher.
    assert row[:5] == ["second", "24.00", "3.00", "3.00", "0.62"]
    assert row[5:] == ["4", "0.05", "360,000", "1.50"]
    intervals = [[float(each) for each in cell.split(" to ")] for cell in below]
    assert len(intervals) == 4
    for value, (low, high) in zip([24, 3, 3, 0.625], intervals, strict=True):
        assert low < value < high
    assert intervals[1] == [0.0, 90.0]  # medians of 4: each end is drawn in 5 % or more
    assert "higher score than one of first" in text


def test_the_table_is_the_same_each_time(tmp_path, capsys):
    paths = [write(tmp_path / n, (9, [1.0, 5.0, float(ord(n))])) for n in "ab"]
    texts = []
    for _ in range(2):
        assert runs.command("compare", *paths) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_runs_without_an_evaluation_are_named_in_a_line(tmp_path, capsys):
    paths = [write(tmp_path / "a", (9, [1.0])), write(tmp_path / "b")]
    packed = logs.write_packed(tmp_path / "c.jsonl.gz", [logs.metrics(0, 1.0)])
    assert runs.command("compare", *paths, packed) == 0
    caught = capsys.readouterr()
    assert caught.err == f"Without an evaluation: {paths[1]}, {packed}\n"
    assert row_of(caught.out, "a")[0][1] == "1.00"
    assert runs.command("compare", paths[1]) == 78
    assert "No run has an evaluation" in capsys.readouterr().err


def test_scores_that_are_hard_to_compare_are_named(tmp_path, capsys):
    one = write(tmp_path / "a", (9, [1.0]))
    lines = [
        logs.start(logs.settings(), env_id="ALE/Pong"),
        logs.evaluation(9, [1.0], epsilon=0.0),
    ]
    other = logs.write_packed(tmp_path / "pong.jsonl.gz", lines)
    assert runs.command("compare", one, other) == 0
    text = capsys.readouterr().err
    assert "different games: ALE/Breakout, ALE/Pong" in text
    assert "different epsilons: 0.05, 0" in text


def test_names_are_no_markup(tmp_path, capsys):
    path = write(tmp_path / "[bold]x[red]", (9, [1.0]))
    assert runs.command("compare", path) == 0
    assert "[bold]x[red]" in capsys.readouterr().out


def test_what_cannot_be_read_is_refused(tmp_path, capsys):
    assert runs.command("compare", tmp_path) == 74
    assert "is no run" in capsys.readouterr().err
    assert runs.command("compare") == 64


def test_the_table_fits_into_a_narrow_terminal(tmp_path, capsys, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    names = [f"{letter}-a-long-name" * 3 for letter in "ab"]
    paths = [write(tmp_path / name, (9, [1.0, 9.0])) for name in names]
    assert runs.command("compare", *paths) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.rstrip().endswith(" 1.50")]) == 2
    assert len([line for line in lines if re.search(r" 1\.00 .* 1\.00 ", line)]) == 2


def test_games_of_different_rules_are_named(tmp_path, capsys):
    paths = []
    for name, sticky in (("a", 0.0), ("b", 0.25)):
        options = {**logs.ENV_OPTIONS, "repeat_action_probability": sticky}
        lines = [
            logs.start(logs.settings(), env_options=options),
            logs.evaluation(9, [1.0]),
        ]
        paths.append(logs.write_packed(tmp_path / f"{name}.jsonl.gz", lines))
    assert runs.command("compare", *paths) == 0
    text = capsys.readouterr().err
    assert "different rules: repeat_action_probability" in text
    assert "frame_skip" not in text


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path, capsys):
    paths = [write(tmp_path / each / "run", (9, [1.0])) for each in "ab"]
    assert runs.command("compare", *paths) == 0
    text = capsys.readouterr().out
    assert all(str(path) in text.replace("\n", "") for path in paths)
