"""What the live panel says of phases, evaluations, the past, and the end of a run."""

import dataclasses
import json
import re

import numpy as np
import pytest

from keras_dqn.evaluation import Evaluation
from tests.records import make_filling
from tests.records import make_info
from tests.records import make_progress
from tests.screen import Screen
from tests.screen import shown

pytestmark = pytest.mark.numpy

UP = "\x1b[1A"


def test_phases_without_records_are_drawn_at_once_and_only_once():
    screen = Screen()
    with screen.console:
        screen.console.start(make_info())
        screen.console.phase("compiling")  # before any record, as after a resume
        assert screen.text.count("compiling the train step") == 1
        screen.write(make_progress(0), 0.0)
        for name, words in (
            ("compiling", "compiling the train step"),
            ("saving", "saving a checkpoint"),
            ("evaluating", "evaluating"),
        ):
            screen.console.phase(name)
            assert words in screen.panel
            drawings = screen.drawings
            screen.console.phase(name)
            assert screen.drawings == drawings
        screen.console.phase("training")
        screen.write(make_progress(1))
        assert "│ training " in screen.panel


def test_while_it_fills_the_panel_says_how_long_yet():
    screen = Screen()
    with screen.console:
        screen.console.start(make_info())
        screen.console.phase("filling")
        for i in range(6, 11):  # 32 steps a second
            screen.write(make_filling(i))
        # 16,384 - 11 * 32 = 16,032 are missing
        assert "filling the replay 2 % - training starts in 0:08:21" in screen.panel


@pytest.mark.parametrize("width", [40, 80, 140])
def test_during_an_evaluation_the_games_are_counted(width):
    screen = Screen(width)
    with screen.console:
        screen.console.start(make_info())
        screen.write(make_progress(0))
        screen.console.phase("evaluating")
        screen.clock.seconds += 1
        screen.console.games(37, 100)
        assert "37 of 100 games" in screen.panel
        screen.console.phase("training")
        screen.write(make_progress(1))
        assert "37 of" not in screen.panel


def test_the_last_evaluation_is_shown_with_its_interval():
    screen = Screen()
    with screen.console:
        screen.console.start(make_info())
        result = Evaluation(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4), 0.05, "toy")
        screen.console.evaluation(20_000, result, False)
        screen.write(make_progress(0))
        panel = re.sub(r" +", " ", screen.panel)
    assert "evaluation 2.50 (1.23 to 3.77), 4 games at 20k steps" in panel


@pytest.mark.parametrize(
    ("done", "mean", "words"),
    [
        (4_000, None, "stopped before the end"),
        (4_000, 484.0, "stopped before the end"),
        (4_000, 486.5, "solved: evaluated at 486.5, the goal was 485"),
        (40_000, None, "finished"),
    ],
)
def test_the_last_panel_says_how_the_run_ended_and_no_time_left(done, mean, words):
    screen = Screen()
    with screen.console:
        screen.console.start(make_info(settings={"stop_at_score": 485.0}))
        for i in range(3):
            record = make_progress(i, env_steps_done=done - 3 + i)
            screen.write(dataclasses.replace(record, total_env_steps=40_000 - 1))
        if done < 40_000:
            assert ", left 10:00:00" in screen.panel  # one step a second
        if mean is not None:
            result = Evaluation(np.array([mean]), np.ones(1), 0.0, "toy")
            screen.console.evaluation(4_000, result, False)
    assert f"│ {words} " in screen.panel
    assert "training" not in screen.panel and "left" not in screen.panel


def test_scores_below_zero_are_shown_from_the_first_episode():
    record = make_progress(0, best_score=-20.0, score_mean=-20.5, episode_count=2)
    panel = shown(record)
    assert "mean score -20.50 (last 2 games)" in panel
    assert "best score -20.00 (one game)" in panel


@pytest.mark.parametrize("height", [24, 20])
@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_the_panel_fits_a_small_terminal_whole(width, height):
    screen = Screen(width, height)
    with screen.console:
        screen.console.start(make_info())
        result = Evaluation(np.arange(30.0), np.ones(30), 0.05, "toy")
        screen.console.evaluation(20_000_000, result, False)
        for i in range(20):
            large = 3_000_000 + i, -12345.678 + i
            screen.write(make_progress(large[0], score_mean=large[1]))
        lines = screen.panel.strip().splitlines()
    assert len(lines) < height
    assert {len(line) for line in lines} == {width - 2}
    assert "…" not in screen.panel and "..." not in screen.panel
    assert "mean score" in screen.panel and "▁" in screen.panel


def test_a_terminal_made_narrower_loses_the_lines_that_it_has_wrapped():
    screen = Screen(80)
    with screen.console:
        screen.console.start(make_info())
        screen.write(make_progress(0))
        lines = len(screen.panel.strip().splitlines())
        screen.terminal.width = 40  # 78 characters are now two lines
        before = len(screen.file.getvalue())
        screen.write(make_progress(1))
        added = screen.file.getvalue()[before:]
        assert added.count(UP) == 2 * lines - 1
        before = len(screen.file.getvalue())
        lines = len(screen.panel.strip().splitlines())
        screen.write(make_progress(2))
        assert screen.file.getvalue()[before:].count(UP) == lines - 1


def test_a_resumed_run_goes_on_with_its_curves_and_its_time(tmp_path):
    log = tmp_path / "metrics.jsonl"
    lines = [
        {"type": "metrics", "env_steps": 0, "training_seconds": 5.0, "loss": 7.0},
        {"type": "episode", "env_steps": 0, "score": 3.0},
        {"type": "metrics", "env_steps": 320, "training_seconds": 3600.0, "loss": 9.0},
        {"type": "metrics", "env_steps": 640, "training_seconds": 9999.0, "loss": 11.0},
    ]
    log.write_text("\n".join(map(json.dumps, lines)) + "\n{")
    for path, words in ((log, "elapsed 1:00:01"), (None, "this session 0:00:01")):
        screen = Screen(metrics=path)
        with screen.console:
            screen.console.resume(640)
            screen.console.start(make_info())
            screen.write(make_progress(20, loss=8.0))
            assert words in screen.panel
            assert ("7 to 9" in screen.panel) == (path is not None)


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_there_is_no_color_where_none_is_wanted_and_no_yellow_or_white(environment):
    screen = Screen(environment=environment)
    with screen.console:
        screen.console.start(make_info())
        for phase in ("filling", "compiling", "training", "saving", "evaluating"):
            screen.console.phase(phase)
            screen.write(make_filling(9))
    colors = set(
        re.findall(r"\x1b\[[0-9;]*?(3[0-9]|9[0-9])[0-9;]*m", screen.file.getvalue())
    )
    assert bool(colors) == (not environment)
    assert not colors & {"33", "37", "93", "97"}  # on white they cannot be read
