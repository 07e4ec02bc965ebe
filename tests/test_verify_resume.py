"""`keras-dqn verify-resume`: equal runs are found equal, and a difference is found."""

import json
import os
import signal
import sys
import threading
import time

import pytest

from keras_dqn.cli import verify_resume
from keras_dqn.run_state import RunState
from keras_dqn.runs import digests
from keras_dqn.runs import partial_run
from keras_dqn.runs.directory import RunDirectory
from tests import runs
from tests import small

FLAGS = small.flags(
    env_id="CartPole-v1",
    env_steps=160,
    vector_steps_per_iteration=4,
    replay_capacity=64,
    learning_starts_env_steps=24,
    checkpoint_interval_iterations=5,
)


def verify(*flags):
    return runs.command("verify-resume", *flags)


def test_a_run_in_two_processes_is_equal_to_one_in_one(capsys, tmp_path):
    folder = tmp_path / "kept"
    assert verify(*FLAGS, "--keep", folder) == 0
    text = capsys.readouterr().out
    assert "stopped and resumed at 10" in text
    assert "Equal in every bit, over 20 iterations." in text
    rows = [line.split("|")[1].strip() for line in text.splitlines() if "equal" in line]
    assert rows == [
        *("online", "target", "optimizer", "replay", "priorities"),
        *("counters", "generators", "episodes", "evaluations", "metrics"),
        "every iteration",
    ]
    # They were trained, and one was resumed.
    lines = digests.read_log(RunDirectory(folder / "resumed").iteration_digests)
    assert len({line["parts"]["online"] for line in lines}) == 19
    log = (folder / "resumed" / "metrics.jsonl").read_text()
    starts = [json.loads(line) for line in log.splitlines() if '"start"' in line]
    assert [line["env_steps"] for line in starts] == [0, 80]


def settings_of(monkeypatch, *flags):
    """The settings with which the command would train."""
    seen = []

    def train_both(folder, settings):
        seen.append(settings)
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(verify_resume, "_train_both", train_both)
        assert verify(*flags) == 70
    return seen[0]


@pytest.fixture
def settings(monkeypatch):
    return settings_of(monkeypatch, *FLAGS)


def test_what_a_resume_forgets_is_found_with_iteration_and_part(
    settings, tmp_path, capsys, monkeypatch
):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert partial_run.train_partially(settings, whole) is not None
    assert partial_run.train_partially(settings, resumed, stop_at=10) is None
    load_meta = RunState.load_meta

    def forget(self, meta):
        before = self.replay_rng.bit_generator.state
        load_meta(self, meta)
        self.replay_rng.bit_generator.state = before

    monkeypatch.setattr(RunState, "load_meta", forget)
    partial_run.train_partially(settings, resumed, resume=True)
    capsys.readouterr()
    assert verify_resume.report(whole, resumed) == 1
    text = capsys.readouterr().out
    assert "| counters " in text and "DIFFERENT" in text
    assert "NOT equal. The first difference is in iteration 10: " in text
    first = text.partition("iteration 10: ")[2]
    assert first.startswith("generators, metrics, online, optimizer")


def test_a_part_that_one_run_lacks_is_a_difference(tmp_path, capsys):
    for name, parts in (
        ("whole", {"online": "a" * 64}),
        ("resumed", {"new": "b" * 64}),
    ):
        directory = RunDirectory(tmp_path / name)
        directory.path.mkdir()
        directory.digests.write_text(json.dumps(parts))
        directory.iteration_digests.write_text("")
    assert verify_resume.report(tmp_path / "whole", tmp_path / "resumed") == 1
    text = capsys.readouterr().out
    assert f"| online | {'a' * 16} | - | DIFFERENT |" in text
    assert f"| new | - | {'b' * 16} | DIFFERENT |" in text


def test_the_digests_of_iterations_do_not_disturb_the_run(settings, tmp_path):
    noted = partial_run.train_partially(settings, tmp_path / "noted")
    run = runs.train(settings, tmp_path / "plain")
    plain = digests.of_learner(run.agent.learner)
    assert plain == {name: noted[name] for name in plain}


@pytest.mark.numpy
@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--checkpoint-interval-iterations", "17"], 78, ["at most half", "17"]),
        (["--gamma", "2"], 78, ["gamma"]),
        (["--preset", "chess"], 78, ["preset", "chess"]),
        (["--gama", "2"], 64, ["--gama", "--gamma"]),
        (["--keep", "."], 64, ["--keep", "--keep must be"]),
    ],
)
def test_bad_flags_are_refused_before_anything_runs(flags, code, words, capsys):
    assert verify(*flags) == code
    text = capsys.readouterr().err
    for word in words:
        assert word in text


def test_a_run_that_fails_is_said_with_what_it_said(capsys, tmp_path):
    # CartPole has none of Atari's options: found where the environment is made.
    assert verify(*FLAGS, "--frame-skip", "2") == 70
    text = capsys.readouterr().err
    assert "status 1" in text and "`frame_skip` is an option of Atari" in text


@pytest.mark.slow
def test_runs_that_a_good_evaluation_ends_are_compared_as_well(capsys):
    flags = ["--evaluation-interval-iterations", "14", "--stop-at-score", "1"]
    assert verify(*FLAGS, *flags) == 0
    assert "Equal in every bit, over 14 iterations." in capsys.readouterr().out


@pytest.mark.numpy
def test_what_nobody_foresaw_is_not_taken_for_a_difference(monkeypatch, capsys):
    def fail(*args):
        raise PermissionError("there")

    monkeypatch.setattr(verify_resume, "_train_both", fail)
    assert verify(*FLAGS) == 70
    assert "PermissionError: there" in capsys.readouterr().err


@pytest.mark.numpy
def test_a_request_to_stop_ends_the_run_that_it_waits_for_too(tmp_path, monkeypatch):
    script = tmp_path / "sleeper.py"
    script.write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(
        verify_resume,
        "_train_both",
        lambda *args: verify_resume._run_process([sys.executable, str(script)]),
    )
    pid = tmp_path / "pid"

    def interrupt():
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert verify(*FLAGS) == 75
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.numpy
@pytest.mark.parametrize("name", ["breakout", "atari", "cartpole"])
def test_every_preset_is_made_short_and_learns_on_both_sides_of_the_stop(
    monkeypatch, name
):
    settings = settings_of(monkeypatch, "--preset", name)
    middle = verify_resume.middle_of(settings)
    starts = settings.learning_starts / settings.env_steps_per_iteration
    assert starts < middle < settings.iterations <= 64
    assert settings.replay_capacity < settings.env_steps
