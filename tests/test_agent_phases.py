"""What an agent says while it works: phases, games, and the end by Ctrl-C."""

import os
import signal

import keras
import pytest

import keras_dqn
from keras_dqn.config import SettingsError
from keras_dqn.monitor import Monitor
from tests.toys import EchoEnv

SETTINGS = {
    "vector_steps_per_iteration": 8,
    "updates_per_iteration": 1,
    "batch_size": 8,
    "learning_starts_env_steps": 32,
}


class Phases(Monitor):
    """Notes the phases, and where each iteration was written."""

    def __init__(self):
        self.seen = []

    def phase(self, name):
        self.seen.append(name)

    def write(self, progress):
        self.seen.append(progress.is_training)


def make_agent(envs):
    network = keras_dqn.models.dueling_mlp(
        envs.num_actions, envs.observation_shape, (8,), seed=0
    )
    agent = keras_dqn.DQNAgent(network, keras_dqn.UniformReplay(256))
    agent.compile(keras.optimizers.SGD(1e-3))
    return agent


def test_each_iteration_is_announced_and_compiling_before_the_first_update():
    with keras_dqn.make_envs(EchoEnv, num_envs=2) as envs:
        monitor = Phases()
        make_agent(envs).fit(envs, env_steps=80, monitors=monitor, **SETTINGS)
    assert monitor.seen == [
        *("filling", False),
        *("compiling", True),
        *("training", True) * 3,
    ]


def test_fit_asks_for_the_number_of_steps():
    with keras_dqn.make_envs(EchoEnv) as envs:
        with pytest.raises(SettingsError, match=r"`env_steps`.* must be given"):
            make_agent(envs).fit(envs)


def test_an_interrupt_ends_an_evaluation_cleanly():
    before = signal.getsignal(signal.SIGINT)
    counts = []

    def interrupt(done, total):
        counts.append((done, total))
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with keras_dqn.make_envs(EchoEnv, num_envs=2) as envs:
        agent = make_agent(envs)
        result = agent.evaluate(envs, episodes=6, epsilon=0.0, on_game=interrupt)
        assert result is None
        assert counts == [(0, 6), (2, 6)]
        assert signal.getsignal(signal.SIGINT) is before
        assert agent.evaluate(envs, episodes=2, epsilon=0.0) is not None


def test_while_fit_runs_an_interrupt_ends_fit_and_not_the_evaluation():
    results = []

    def evaluate(agent, progress):
        os.kill(os.getpid(), signal.SIGINT)
        results.append(agent.evaluate(EchoEnv, episodes=1))

    with keras_dqn.make_envs(EchoEnv, num_envs=2) as envs:
        last = make_agent(envs).fit(
            envs, env_steps=80, monitors=None, callbacks=[evaluate], **SETTINGS
        )
    assert last.iteration == 0
    assert [len(result.scores) for result in results] == [1]
