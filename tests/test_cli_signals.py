"""Real signals in every phase of a run: what is saved, and how it ends."""

import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from keras_dqn import checkpoint
from keras_dqn import evaluation
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.watchdog import Watchdog
from tests import runs
from tests import small
from tests import toys
from tests.small import run

ROOT = pathlib.Path(__file__).parents[1]
STOPS = [signal.SIGINT, signal.SIGTERM]


class Signalling(toys.CountingEnv):
    """Counts the steps of all its kind and sends itself signals at one of them."""

    steps = 0
    at = None
    signums = ()

    def step(self, action):
        type(self).steps += 1
        if self.steps == self.at:
            send(*self.signums)
        return super().step(action)


def send(*signums):
    for signum in signums:
        os.kill(os.getpid(), signum)


def wait_until(is_done):
    for _ in range(500):
        if is_done():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture(autouse=True)
def signalling(monkeypatch):
    monkeypatch.setattr(Signalling, "steps", 0)
    with small.registered(Signalling):
        yield Signalling


@pytest.fixture
def saves(monkeypatch):
    """Agent steps of the checkpoints that are saved, in order."""
    saved = []
    original = checkpoint.Store.begin

    def begin(self, env_steps, *arguments):
        saved.append(env_steps)
        return original(self, env_steps, *arguments)

    monkeypatch.setattr(checkpoint.Store, "begin", begin)
    return saved


@contextlib.contextmanager
def signals_at_step(step, *signums):
    Signalling.at, Signalling.signums = step, signums
    yield
    Signalling.at = None


def resume(out, *flags):
    Signalling.at = None
    words = ["train", "--resume", "--out", out, "--console", "none", *flags]
    return runs.command(*words)


@pytest.mark.parametrize("signum", STOPS)
@pytest.mark.parametrize(
    ("step", "saved"),
    [
        (1, [4]),  # the first iteration
        (6, [8]),  # the replay fills
        (27, [12, 24, 28]),  # training
        (23, [12, 24]),  # an iteration after which a checkpoint is due
    ],
)
def test_a_request_to_stop_is_met_after_the_iteration_with_one_checkpoint(
    tmp_path, saves, capsys, step, saved, signum
):
    with signals_at_step(step, signum):
        assert run(tmp_path / "run") == 75
    assert saves == saved
    assert "Stopped. Saved network: " in capsys.readouterr().out
    assert (tmp_path / "run" / "network.keras").exists()
    saves.clear()
    assert resume(tmp_path / "run", "--no-evaluation") == 0
    assert saves[-1] == 48 and saves[0] > saved[-1]


@pytest.mark.parametrize("signum", STOPS)
def test_a_request_before_the_first_iteration_starts_nothing(
    tmp_path, saves, monkeypatch, signum
):
    """While Keras is imported, parts are made or a checkpoint is read."""
    make = Signalling.__init__

    def init(self):
        make(self)
        send(signum)
        monkeypatch.setattr(Signalling, "__init__", make)

    monkeypatch.setattr(Signalling, "__init__", init)
    assert run(tmp_path / "run") == 75
    assert saves == [] and Signalling.steps == 0
    assert resume(tmp_path / "run", "--no-evaluation") == 0


@pytest.mark.parametrize("signum", STOPS)
def test_a_request_while_saving_leaves_that_checkpoint_and_saves_no_other(
    tmp_path, saves, monkeypatch, signum
):
    begin = checkpoint.Store.begin

    def interrupted(self, env_steps, *arguments):
        saving = begin(self, env_steps, *arguments)
        if env_steps == 24:
            send(signum)
        return saving

    monkeypatch.setattr(checkpoint.Store, "begin", interrupted)
    assert run(tmp_path / "run") == 75
    assert saves == [12, 24]
    loaded = checkpoint.load(tmp_path / "run" / "checkpoints")
    assert loaded.path.name.endswith("24") and not loaded.notes


def test_the_environments_of_an_evaluation_are_watched_too(tmp_path, monkeypatch):
    watched = []
    original = Watchdog.watching

    @contextlib.contextmanager
    def watching(self, envs):
        with original(self, envs):
            watched.append(envs.num_envs)
            yield
        assert envs._state == "closed"  # it may hang there, too

    monkeypatch.setattr(Watchdog, "watching", watching)
    flags = ["--evaluation-interval-iterations", "10", "--evaluation-episodes", "3"]
    assert run(tmp_path / "run", *flags) == 0
    assert watched == [2, 3, 3]


def signals_in_evaluation(monkeypatch, *signums):
    """Sends the signals at the second step of an evaluation that lasts for ever."""
    calls = []
    original = evaluation.epsilon_greedy

    def epsilon_greedy(*arguments):
        calls.append(arguments)
        assert len(calls) < 4, "the evaluation went on"
        if len(calls) == 2:
            send(*signums)
        return original(*arguments)

    monkeypatch.setattr(evaluation, "epsilon_greedy", epsilon_greedy)


@pytest.mark.parametrize("signum", STOPS)
def test_a_request_breaks_off_an_evaluation_on_the_way(
    tmp_path, saves, monkeypatch, signum
):
    signals_in_evaluation(monkeypatch, signum)
    assert run(tmp_path / "run", "--evaluation-interval-iterations", "5") == 75
    assert saves == [12, 20]
    assert not (tmp_path / "run" / "best.keras").exists()
    monkeypatch.undo()
    assert resume(tmp_path / "run", "--no-evaluation") == 0
    assert (tmp_path / "run" / "best.keras").exists()


def outcome(out):
    """What evaluations have found, and the weights, of the newest checkpoint."""
    path, _, meta, _ = checkpoint.load(out / "checkpoints")
    manifest = json.loads((path / "manifest.json").read_text())
    scores = {name: meta[name] for name in ("best_score", "last_score")}
    return path.name, scores, manifest["body"]["parts"]["learner"]["sha256"]


@pytest.mark.parametrize("stop_at", ["none", "5", "99"])
def test_an_evaluation_that_was_broken_off_is_made_up_for_by_an_exact_resume(
    tmp_path, saves, monkeypatch, stop_at
):
    flags = ["--evaluation-interval-iterations", "6", "--stop-at-score", stop_at]
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    assert run(whole, *flags, "--no-evaluation") == 0
    signals_in_evaluation(monkeypatch, signal.SIGTERM)
    assert run(pieces, *flags, "--no-evaluation") == 75
    meta = checkpoint.load(pieces / "checkpoints")[2]
    assert meta["exact"] and meta["pending_evaluation"] == 24
    assert meta["best_score"] is None
    monkeypatch.undo()
    assert resume(pieces, "--exact", "--no-evaluation") == 0
    assert (pieces / "best.keras").exists()
    if stop_at == "5":  # good enough: nothing is trained after it
        assert outcome(whole)[0] == "checkpoint-000000000024"
        assert outcome(pieces)[0] == "checkpoint-000000000024.1"  # knows the score
        assert outcome(whole)[1:] == outcome(pieces)[1:]
    else:
        assert outcome(whole) == outcome(pieces)


def test_an_evaluation_broken_off_after_the_last_iteration_is_played_once(
    tmp_path, saves, monkeypatch
):
    out, flags = tmp_path / "run", ["--evaluation-interval-iterations", "12"]
    signals_in_evaluation(monkeypatch, signal.SIGTERM)
    assert run(out, *flags, "--no-evaluation") == 75
    assert checkpoint.load(out / "checkpoints")[2]["pending_evaluation"] == 48
    monkeypatch.undo()
    for _ in range(2):
        assert resume(out, "--no-evaluation") == 0
        path, _, meta, _ = checkpoint.load(out / "checkpoints")
        assert path.name == "checkpoint-000000000048.1"
        assert meta["pending_evaluation"] is None and meta["exact"]
        assert meta["best_score"] is not None
    log = (out / "metrics.jsonl").read_text().splitlines()
    assert sum('"evaluation"' in line for line in log) == 1


def test_a_run_that_was_good_enough_stays_ended_until_more_is_asked_for(
    tmp_path, saves, capsys
):
    flags = ["--evaluation-interval-iterations", "6", "--stop-at-score", "5"]
    out = tmp_path / "run"
    assert run(out, *flags, "--no-evaluation") == 0
    assert saves == [12, 24]
    before = (out / "metrics.jsonl").read_bytes()
    assert resume(out, "--no-evaluation") == 0
    assert "reached --stop-at-score" in capsys.readouterr().out
    assert saves == [12, 24] and (out / "metrics.jsonl").read_bytes() == before
    assert resume(out, "--no-evaluation", "--stop-at-score", "99") == 0
    assert saves == [12, 24, 36, 48]


@pytest.mark.parametrize("signum", STOPS)
def test_a_request_breaks_off_the_last_evaluation_and_everything_is_saved(
    tmp_path, saves, monkeypatch, capsys, signum
):
    signals_in_evaluation(monkeypatch, signum)
    assert run(tmp_path / "run") == 75
    assert saves == [12, 24, 36, 48]
    assert "before the end of the evaluation" in capsys.readouterr().out
    monkeypatch.undo()
    assert resume(tmp_path / "run") == 0  # plays those games and nothing else
    assert "mean score" in capsys.readouterr().out
    assert saves == [12, 24, 36, 48]


def test_usr1_saves_after_the_iteration_and_goes_on(tmp_path, saves):
    with signals_at_step(19, signal.SIGUSR1):
        assert run(tmp_path / "run", "--no-evaluation") == 0
    assert saves == [12, 20, 24, 36, 48]


def test_usr1_where_a_checkpoint_is_due_saves_one_and_with_a_stop_one_too(
    tmp_path, saves
):
    with signals_at_step(23, signal.SIGUSR1):
        assert run(tmp_path / "run", "--no-evaluation") == 0
    assert saves == [12, 24, 36, 48]
    Signalling.steps = 0
    saves.clear()
    with signals_at_step(19, signal.SIGUSR1, signal.SIGTERM):
        assert run(tmp_path / "other") == 75
    assert saves == [12, 20]


def test_usr1_does_not_change_what_the_run_becomes(tmp_path):
    def outcome(out):
        newest = sorted((out / "checkpoints").glob("checkpoint-*"))[-1]
        manifest = json.loads((newest / "manifest.json").read_text())
        return manifest["body"]["parts"]["learner"]["sha256"]

    assert run(tmp_path / "quiet", "--no-evaluation") == 0
    Signalling.steps = 0
    with signals_at_step(19, signal.SIGUSR1):
        assert run(tmp_path / "asked", "--no-evaluation") == 0
    assert outcome(tmp_path / "asked") == outcome(tmp_path / "quiet")


@pytest.mark.parametrize("step", [19, 23])
def test_the_second_interrupt_leaves_at_once_with_the_checkpoint_before(
    tmp_path, saves, step
):
    with signals_at_step(step, signal.SIGINT, signal.SIGINT):
        assert run(tmp_path / "run") == 75
    assert Signalling.steps == step and saves == [12]
    assert resume(tmp_path / "run", "--no-evaluation") == 0


def test_the_second_interrupt_in_a_save_leaves_the_checkpoint_before(
    tmp_path, monkeypatch
):
    write, stop = files.write_new, checkpoint.Saving.stop
    handle = signals.Requests.handle
    written, handled, stopped = [], [], []

    def noted(self, signum, frame=None):
        handled.append(signum)
        handle(self, signum, frame)

    def noted_stop(self, seconds=2.0):
        stop(self, 0.0)
        stopped.append(True)
        stop(self, seconds)

    def interrupted(path, blocks):
        if "checkpoints" in path.parts:
            written.append(path)
        if len(written) == 9 and not handled:  # the second checkpoint is half written
            # One after the other: this is not the thread that takes them.
            send(signal.SIGINT)
            wait_until(lambda: handled)
            send(signal.SIGINT)
            wait_until(lambda: stopped)
        return write(path, blocks)

    monkeypatch.setattr(signals.Requests, "handle", noted)
    monkeypatch.setattr(checkpoint.Saving, "stop", noted_stop)
    monkeypatch.setattr(files, "write_new", interrupted)
    assert run(tmp_path / "run") == 75
    monkeypatch.undo()
    loaded = checkpoint.load(tmp_path / "run" / "checkpoints")
    assert loaded.path.name.endswith("12") and not loaded.notes
    assert resume(tmp_path / "run", "--no-evaluation") == 0
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


@pytest.mark.parametrize("signums", [[signal.SIGTERM], [signal.SIGINT] * 2])
def test_the_process_is_left_as_it_was(tmp_path, signums):
    def traces():
        handlers = [signal.getsignal(s) for s in (*STOPS, signal.SIGUSR1)]
        return handlers, threading.enumerate(), len(os.listdir("/proc/self/fd"))

    run(tmp_path / "warm", "--no-evaluation")  # frameworks keep threads of their own
    Signalling.steps = 0
    before = traces()
    with signals_at_step(1, *signums):
        assert run(tmp_path / "run") == 75
    assert traces() == before


TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under `nohup`
os.login_tty(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "tests.programs", "run", *sys.argv[2:]])
"""


def test_a_terminal_that_is_closed_ends_the_run_with_a_checkpoint(tmp_path):
    out = tmp_path / "run"
    flags = ["--preset", "cartpole", "--console", "live", "--env-steps", "10000000"]
    flags += ["--replay-capacity", "64", "--learning-starts-env-steps", "64"]
    flags += ["--hidden-units", "4", "--stop-at-score", "none"]
    flags += ["--evaluation-interval-iterations", "none"]
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", TERMINAL, str(theirs), *flags, "--out", str(out)],
        cwd=ROOT,
        pass_fds=[theirs],
    )
    os.close(theirs)
    try:
        log = out / "metrics.jsonl"
        while not (log.exists() and '"metrics"' in log.read_text()):  # it trains
            assert select.select([ours], [], [], 120)[0], "it shows nothing"
            assert os.read(ours, 65536)
        os.close(ours)
        assert child.wait(timeout=120) == 75
    finally:
        child.kill()
    assert not checkpoint.load(out / "checkpoints").notes
    assert (out / "network.keras").exists()


def test_a_hung_environment_ends_the_command_with_the_checkpoint_before(tmp_path):
    out = tmp_path / "run"
    flags = [*small.flags(env_id="Hanging-v0"), "--console", "none"]
    child = subprocess.run(
        [sys.executable, "-m", "tests.programs", "run", *flags]
        + ["--out", str(out), "--env-timeout-seconds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 70, child.stderr
    assert "Hanging-v0 x 2> has not answered for 1 seconds" in child.stderr
    assert "in hang" in (out / "hang.txt").read_text()
    path, *_, skipped = checkpoint.load(out / "checkpoints")
    assert path.name.endswith("24") and not skipped
