"""`keras-dqn envs`, and how the command answers a wrong word."""

import os
import subprocess
import sys

import pytest

from tests import runs

pytestmark = pytest.mark.numpy


def test_the_games_are_listed(capsys):
    assert runs.command("envs") == 0
    words = capsys.readouterr().out.split()
    assert {"Breakout", "MsPacman", "Pong", "KungFuMaster"} <= set(words)
    assert "104" in words and "Combat" not in words


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ("Breakout", ["0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT", "(84, 84, 4), uint8", "30.5"]),
        ("CartPole-v1", ["2, without names", "(4,), float32"]),
    ],
)
def test_an_environment_is_described(env, expected, capsys):
    assert runs.command("envs", env) == 0
    text = capsys.readouterr().out
    assert all(part in text for part in expected), text


def test_an_unknown_game_and_an_unknown_command_suggest_the_nearest(capsys):
    assert runs.command("envs", "Breakot") == 78
    assert "Did you mean `Breakout`" in capsys.readouterr().err
    assert runs.command("trian") == 64
    assert "Did you mean `train`" in capsys.readouterr().err
    assert runs.command("no-such-thing") == 64
    assert "unknown command 'no-such-thing'" in capsys.readouterr().err


def test_a_shell_gets_completions():
    """Asks as argcomplete's shell functions do: the answer comes on descriptor 8."""
    line = "keras-dqn eva"
    code = (
        "import os, sys; from keras_dqn.cli.__main__ import main; "
        "sys.argv = ['keras-dqn']; main()"
    )
    reading, writing = os.pipe()
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": f"/dev/fd/{writing}",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        pass_fds=[writing],
        check=False,
        timeout=60,
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read().split() == ["evaluate"]
