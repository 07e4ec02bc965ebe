"""What could hang or confuse the emulator: bad actions, interrupts, threads."""

import os
import sys

import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from keras_dqn.envs import make_envs
from tests.toys import assert_same_games
from tests.toys import play

pytestmark = pytest.mark.numpy

NOOP, FIRE, RIGHT = 0, 1, 2


@pytest.mark.parametrize(
    "actions",
    [
        [0, 4],
        [-1, 0],
        [0],
        [0, 0, 0],
        [[0, 0]],
        0,
        [0.0, 1.0],
        [True, False],
        [None, 0],
        np.array([2**63, 0], np.uint64),
    ],
)
def test_a_bad_action_never_reaches_the_emulator(actions, monkeypatch):
    """ALE would hang for ever."""
    sent = []

    class Spied(AtariVectorEnv):
        def send(self, actions):
            sent.append(actions)
            super().send(actions)

    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", Spied)
    with make_envs("Breakout", num_envs=2) as envs:
        envs.reset(0)
        with pytest.raises(ValueError, match="`actions` must be .*Received: actions"):
            envs.send(actions)
        assert sent == []
        envs.step(np.array([0, 3], np.uint8))  # and nothing is broken
        assert len(sent) == 1


def test_a_reset_between_send_and_recv_starts_clean():
    with make_envs("Breakout", num_envs=2) as envs:
        fresh = play(envs, 5)
        envs.send([RIGHT, FIRE])
        assert_same_games(fresh, play(envs, 5))


@pytest.mark.parametrize("received", [True, False])
def test_a_reset_works_after_an_interrupted_recv(received, monkeypatch):
    """Ctrl-C may come before the emulator's answer is taken, or after."""
    interrupts = []

    class Interrupted(AtariVectorEnv):
        def recv(self):
            if not interrupts:
                return super().recv()
            if received:
                super().recv()
            raise interrupts.pop()

    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", Interrupted)
    with make_envs("Breakout", num_envs=2) as envs:
        fresh = play(envs, 5)
        interrupts.append(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            envs.step([0, 0])
        with pytest.raises(RuntimeError, match="Call `reset` before"):
            envs.send([0, 0])
        assert_same_games(fresh, play(envs, 5))


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("sent", [False, True])
def test_close_ends_the_threads_of_the_emulator(sent):
    before = set(os.listdir("/proc/self/task"))
    envs = make_envs("Breakout", num_envs=2, num_threads=2)
    envs.reset(0)
    # By identity, not by number: those of an emulator closed before may end meanwhile.
    started = set(os.listdir("/proc/self/task")) - before
    assert started
    if sent:
        envs.send([0, 0])
    envs.close()
    assert not started & set(os.listdir("/proc/self/task"))
    envs.close()
