"""`train --seeds`: several runs by one command."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from keras_dqn.system.lock import RunLock
from tests import runs

ROOT = pathlib.Path(__file__).parents[1]
FLAGS = (
    "--preset cartpole --num-envs 2 --vector-steps-per-iteration 2 --env-steps 64 "
    "--updates-per-iteration 1 --learning-starts-env-steps 16 --replay-capacity 64 "
    "--batch-size 4 --hidden-units 4 --evaluation-interval-iterations none "
    "--stop-at-score none --no-evaluation"
).split()


def train(*words):
    return runs.command("train", *FLAGS, *words)


def settings(directory):
    return json.loads((directory / "settings.json").read_text())


def test_each_seed_has_a_run_of_its_own(tmp_path, capfd):
    assert train("--seeds", "3,11", "--out", tmp_path / "a", "--n-steps", "2") == 0
    made = {path.name: settings(path) for path in (tmp_path / "a").iterdir()}
    assert {name: values["seed"] for name, values in made.items()} == {
        "seed3": 3,
        "seed11": 11,
    }
    assert {values["n_steps"] for values in made.values()} == {2}
    assert all((tmp_path / "a" / name / "network.keras").exists() for name in made)
    text = capfd.readouterr().out
    assert "Run 2 of 2: seed 11" in text
    paths = f"{tmp_path / 'a' / 'seed3'} {tmp_path / 'a' / 'seed11'}"
    assert f"keras-dqn compare {paths}" in text


def wait_until(is_done, process):
    for _ in range(1_500):
        if is_done():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it did not happen")


@pytest.fixture
def start():
    """Starts `train --seeds 1,2` without an end; what outlives the test is killed."""
    processes = []

    def start(out):
        words = ["train", *FLAGS, "--env-steps", "100M", "--seeds", "1,2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_dqn", *words]
            + ["--out", str(out), "--console", "plain"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        processes.append(process)
        assert b"Run 1 of 2" in process.stdout.readline()
        return process

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until_it_trains(process, out):
    log = out / "seed1" / "metrics.jsonl"
    wait_until(lambda: log.exists() and b'"episode"' in log.read_bytes(), process)


@pytest.mark.slow
def test_a_request_to_the_command_alone_reaches_the_run_that_trains(tmp_path, start):
    process = start(tmp_path)
    process.send_signal(signal.SIGUSR1)  # too early to save anything
    wait_until_it_trains(process, tmp_path)
    for signum in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        process.send_signal(signum)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output.decode()
    assert b"Saved checkpoint" in output and b"--resume" in output


def test_a_stop_while_a_run_starts_ends_the_series(tmp_path, start):
    process = start(tmp_path)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output.decode()
    assert not (tmp_path / "seed2").exists()


@pytest.mark.slow
def test_what_ends_the_process_group_leaves_no_run_behind(tmp_path, start):
    process = start(tmp_path)
    wait_until_it_trains(process, tmp_path)
    os.killpg(process.pid, signal.SIGQUIT)
    process.communicate(timeout=60)  # ends when the run has closed its output
    with RunLock(tmp_path / "seed1") as lock:
        assert lock.taken_over is not None


@pytest.mark.slow
def test_ctrl_c_saves_the_run_that_trains_and_the_command_goes_on_with_all(
    tmp_path, capfd, start
):
    out = tmp_path / "a"
    words = ["--seeds", "1,2", "--out", str(out)]
    process = start(out)
    wait_until_it_trains(process, out)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output.decode()
    assert b"Saved checkpoint" in output and b"--resume" in output
    assert [path.name for path in out.iterdir()] == ["seed1"]
    (checkpoint,) = (out / "seed1" / "checkpoints").glob("checkpoint-*")
    trained = int(checkpoint.name.rpartition("-")[2])
    assert trained > 0

    resumed = ["--resume", "--env-steps", str(trained + 8)]
    assert train(*words, *resumed) == 0
    assert f"Loaded checkpoint: {checkpoint}" in capfd.readouterr().out
    found = {path.name: settings(path) for path in out.iterdir()}
    assert {name: values["seed"] for name, values in found.items()} == {
        "seed1": 1,
        "seed2": 2,
    }
    assert settings(out / "seed2")["env_steps"] == trained + 8


def test_the_first_run_that_fails_ends_the_series(tmp_path, capfd):
    out = tmp_path / "a"
    assert train("--seeds", "1,2", "--out", out, "--env", "NoSuchEnv-v0") == 78
    assert "NoSuchEnv" in capfd.readouterr().err
    assert not (out / "seed2").exists()


@pytest.mark.numpy
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--seeds", "1,x"], 78, "1,x"),
        (["--seeds", "1,-2"], 78, "-2"),
        (["--seeds", ""], 78, "whole numbers"),
        (["--seeds", "4,4"], 78, "differ"),
        (["--seeds", "1,2", "--seed", "3"], 64, "--seed or --seeds"),
        (["--seeds", "1,2", "--resume"], 64, "--out"),
        (["--seeds", "1,2", "--gamma", "2"], 78, "gamma"),
        (["--seeds", "1,2", "--out", "used"], 74, "seed2 has a run"),
    ],
)
def test_wrong_seeds_are_refused_before_anything_is_trained(
    words, code, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    used = tmp_path / "used" / "seed2"
    used.mkdir(parents=True)
    (used / "settings.json").write_text("{}")
    assert train(*words) == code
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == [
        "used",
        "seed2",
        "settings.json",
    ]
