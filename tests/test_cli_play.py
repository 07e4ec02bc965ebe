"""`keras-dqn play` and `keras-dqn resume`, with short games."""

import json
import sys

import pytest

import keras_dqn
from tests import runs
from tests import small
from tests import toys


@pytest.fixture
def directory(tmp_path):
    """A run of Breakout whose games last 20 agent steps."""
    network = keras_dqn.pretrained.load("breakout")
    network.save(tmp_path / "network.keras")
    settings = keras_dqn.presets.atari(env_id="Breakout", max_episode_frames=80)
    (tmp_path / "settings.json").write_text(json.dumps(settings.to_dict()))
    return tmp_path


def test_games_are_shown_in_the_terminal(directory, capsys):
    words = ("--in", "terminal", "--speed", 1000, "--games", 2)
    assert runs.command("play", directory, *words) == 0
    text = capsys.readouterr().out
    assert text.count("\x1b[H") == 40  # two games of 20 steps
    assert "step 19" in text and "▀" in text
    assert text.rstrip().splitlines()[-1].startswith("ALE/Breakout: score ")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--games", "0"], 78, "games"),
        (["--speed", "0"], 78, "speed"),
        (["--in", "nowhere"], 64, "nowhere"),
        (["--env", "CartPole-v1"], 78, "(4,)"),
    ],
)
def test_what_cannot_be_shown_is_refused(words, code, message, capsys):
    assert runs.command("play", "--pretrained", "breakout", *words) == code
    assert message in capsys.readouterr().err


def test_a_window_needs_a_display(directory, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    assert runs.command("play", directory, "--in", "window") == 78
    assert "No window can be opened" in capsys.readouterr().err


def test_resume_continues_a_run_like_train_resume(tmp_path, capsys):
    with small.registered(toys.CountingEnv):
        assert small.run(tmp_path, "--no-evaluation") == 0
        words = ("--no-evaluation", "--console", "plain", "--env-steps", 96)
        assert runs.command("resume", tmp_path, *words) == 0
    assert "at 48 agent steps" in capsys.readouterr().out
    records = [json.loads(line) for line in open(tmp_path / "metrics.jsonl")]
    assert records[-1]["env_steps"] > 48


def test_resume_refuses_what_is_no_run_and_flags_of_new_runs(tmp_path, capsys):
    assert runs.command("resume", tmp_path) == 74
    assert runs.command("resume") == 64
    assert runs.command("resume", tmp_path, "--smoke") == 64
    assert runs.command("resume", tmp_path, "--preset", "atari") == 64
    assert "Traceback" not in capsys.readouterr().err
