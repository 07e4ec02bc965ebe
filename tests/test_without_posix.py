"""Training, Ctrl-C, a kill and a resume where the system is not POSIX."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests import small

ROOT = pathlib.Path(__file__).parents[1]
# An iteration is 4 agent steps; without an end, and a checkpoint every 3 iterations.
FLAGS = small.flags(
    env_id="CartPole-v1", env_steps=400_000_000, log_interval_iterations=1
)


@pytest.fixture
def command():
    """Starts the command; a child that outlives the test is killed."""
    children = []

    def start(*arguments):
        child = subprocess.Popen(
            [
                sys.executable,
                ROOT / "tests/without_posix.py",
                "train",
                *map(str, arguments),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def read_until(child, words):
    """Returns the child's output up to the line with these words."""
    lines = []
    for line in child.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines) + child.stderr.read())


def test_a_run_is_killed_resumed_and_stopped_without_posix(command, tmp_path):
    out = tmp_path / "run"
    killed = command(*FLAGS, "--out", out)
    read_until(killed, "Saved checkpoint: ")

    second = command("--resume", "--out", out)
    _, text = second.communicate(timeout=60)
    assert second.returncode == 74
    assert f"in use by process {killed.pid} on " in text

    killed.kill()
    killed.wait()
    assert {"LOCK", "LOCK.json"} <= {path.name for path in out.iterdir()}

    resumed = command("--resume", "--out", out)
    text = read_until(resumed, "Loaded checkpoint: ")
    assert f"Warning: process {killed.pid} on " in text
    read_until(resumed, "Saved checkpoint: ")
    resumed.send_signal(signal.SIGINT)
    text, errors = resumed.communicate(timeout=60)
    assert resumed.returncode == 75, errors
    assert "Stopped. Saved network: " in text
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "metrics.jsonl",
        "network.keras",
        "settings.json",
    ]
