"""A hang is noticed, named and left; everything else is let be."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from keras_dqn.envs import make_envs
from keras_dqn.system import watchdog
from keras_dqn.system.watchdog import Watchdog
from tests.toys import CountingEnv

pytestmark = pytest.mark.numpy

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def program():
    """Starts `tests/programs.py`; a child that outlives the test is killed."""
    children = []

    def start(*arguments):
        code = "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
        code += (
            "runpy.run_module('tests.programs', run_name='__main__', alter_sys=True)"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(ROOT), *map(str, arguments)],
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


def wait_until_it_hangs(child):
    for line in child.stdout:
        if line == "hanging\n":
            return
    raise AssertionError(child.stderr.read())


@pytest.mark.parametrize("where", ["reset", "recv", "close"])
def test_environments_that_hang_are_left_with_70_and_all_stacks(
    program, tmp_path, where
):
    child = program(where, tmp_path, 0.5)
    _, text = child.communicate(timeout=60)
    assert child.returncode == 70
    assert "<GymnasiumEnvs HangingEnv x 1> has not answered for 0.5 seconds" in text
    assert str(tmp_path / "hang.txt") in text
    stacks = (tmp_path / "hang.txt").read_text()
    assert "in hang" in stacks and f"in _{where}" in stacks


def test_a_directory_that_cannot_be_written_does_not_keep_it(program, tmp_path):
    child = program("recv", tmp_path / "none", 0.5)
    _, text = child.communicate(timeout=60)
    assert child.returncode == 70
    assert "could not be written" in text


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_is_met_while_environments_hang(program, tmp_path, signum):
    """Python's own handler never runs."""
    child = program("recv", tmp_path, "none")
    wait_until_it_hangs(child)
    child.send_signal(signum)
    _, text = child.communicate(timeout=60)
    assert child.returncode == 75
    assert "has not answered for 1 seconds since it was asked to stop" in text


def test_the_second_interrupt_ends_whatever_blocks(program, tmp_path):
    child = program("nowhere", tmp_path, 0.5)
    wait_until_it_hangs(child)
    child.send_signal(signal.SIGINT)
    time.sleep(0.1)  # two signals at the same time may be one
    child.send_signal(signal.SIGINT)
    _, text = child.communicate(timeout=60)
    assert child.returncode == 75
    assert "The process has not answered" in text


@pytest.fixture
def exits(monkeypatch):
    """Exit codes that a watchdog in this process would leave with."""
    codes = []
    monkeypatch.setattr(
        Watchdog, "_exit_process", lambda self, code, why: codes.append(code)
    )
    return codes


def test_only_the_time_within_one_call_counts(tmp_path, exits):
    class Slow(CountingEnv):
        def step(self, action):
            time.sleep(0.2)
            return super().step(action)

    with make_envs(Slow) as envs:
        dog = Watchdog(tmp_path / "hang.txt", 0.4)
        with dog, dog.watching(envs):
            envs.reset(0)
            for _ in range(3):
                envs.step([0])
            time.sleep(0.8)  # as while a network compiles
        assert exits == []
        with dog:  # entered again, and nothing watched
            envs._call(time.sleep, 0.8)
        assert exits == []
        with dog, dog.watching(envs):
            envs._call(time.sleep, 0.8)
        assert 70 in exits


def test_it_goes_without_a_trace(tmp_path, exits):
    def traces():
        return threading.enumerate(), sorted(os.listdir("/proc/self/fd"))

    before = traces()
    for _ in range(2):
        with Watchdog(tmp_path / "hang.txt", None):
            assert len(threading.enumerate()) == len(before[0]) + 1
        assert traces() == before
    assert signal.set_wakeup_fd(-1) == -1
    assert list(tmp_path.iterdir()) == []


def test_a_wakeup_descriptor_of_another_comes_back(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    with Watchdog(tmp_path / "hang.txt", None):
        pass
    assert signal.set_wakeup_fd(-1) == writer
    os.close(reader)
    os.close(writer)


def test_it_can_be_entered_outside_the_main_thread(tmp_path, exits):
    def work():
        with make_envs(CountingEnv) as envs:
            dog = Watchdog(tmp_path / "hang.txt", 0.2)
            with dog, dog.watching(envs):
                envs._call(time.sleep, 0.6)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert 70 in exits


def test_the_grace_is_less_than_what_orchestrators_give():
    assert watchdog.GRACE_SECONDS < 25  # Kubernetes kills after 30 s
