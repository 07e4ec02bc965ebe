"""What an agent cannot be given: named before it runs, with what to write instead."""

import re

import gymnasium
import keras
import pytest

import keras_dqn
from keras_dqn import monitor
from tests.toys import CountingEnv
from tests.toys import EchoEnv


def make_agent(**options):
    network = keras_dqn.models.dueling_mlp(4, (4,), (4,))
    agent = keras_dqn.DQNAgent(network, **options)
    agent.compile(jit_compile=False)
    return agent


def refuses(call, *words, error=TypeError):
    """`call` raises, with each of these words."""
    with pytest.raises(error, match=".*".join(map(re.escape, words))):
        call()


@pytest.mark.parametrize(
    ("make", "instead"),
    [
        (lambda: "CartPole-v1", "make_envs('CartPole-v1')"),
        (lambda: gymnasium.make("CartPole-v1"), "make_envs('CartPole-v1')"),
        (lambda: CountingEnv, "make_envs(CountingEnv)"),
        (CountingEnv, "make_envs(CountingEnv)"),
        (
            lambda: gymnasium.make_vec("CartPole-v1", num_envs=3),
            "make_envs('CartPole-v1', num_envs=3)",
        ),
        (
            lambda: gymnasium.vector.SyncVectorEnv([EchoEnv] * 2),
            "make_envs(EchoEnv, num_envs=2)",
        ),
        (lambda: [EchoEnv(), EchoEnv()], "make_envs("),
        (lambda: None, "make_envs("),
    ],
)
def test_what_are_no_vector_environments(make, instead):
    envs, agent = make(), make_agent()
    words = ("`envs` must be", f"keras_dqn.{instead}", "Received")
    refuses(lambda: agent.build(envs), *words)


@pytest.mark.parametrize("env", [None, 3, [EchoEnv(), EchoEnv()]])
def test_what_are_no_environments(env):
    agent = make_agent()
    refuses(lambda: agent.fit(env, 100), "`env` must be", "Received")


def test_closed_environments():
    agent = make_agent()
    envs = keras_dqn.make_envs(EchoEnv)
    envs.close()
    refuses(lambda: agent.fit(envs), "closed. Make a new one", error=RuntimeError)
    refuses(lambda: agent.evaluate(envs), "closed. Make a new one", error=RuntimeError)
    refuses(lambda: agent.learner, "`learner`", error=RuntimeError)


class Meter(keras.callbacks.Callback):
    pass


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        (print, ["`callbacks` must be a list", "[", "print"]),
        (None, ["`callbacks` must be a list", "None"]),
        ((print for _ in range(2)), ["`callbacks` must be a list", "generator"]),
        (Meter(), ["`callbacks` must be a list", "Meter"]),
        (
            [Meter(), Meter],
            ["`callbacks[1]`", "callback(agent, progress)", "Keras", "Meter"],
        ),
        ([Meter], ["`callbacks[0]`", "callback(agent, progress)", "Meter"]),
        ([3], ["`callbacks[0]`", "callback(agent, progress)", "3"]),
        ([lambda agent: None], ["`callbacks[0]`", "callback(agent, progress)"]),
    ],
)
def test_what_are_no_callbacks(callbacks, words):
    with keras_dqn.make_envs(EchoEnv) as envs:
        agent = make_agent()
        refuses(lambda: agent.fit(envs, callbacks=callbacks), *words)
        refuses(lambda: agent.learner, "`learner`", error=RuntimeError)


@pytest.mark.parametrize(
    ("monitors", "words"),
    [
        ([], ["`monitors` must be", "Monitors([])"]),
        ([monitor.PlainConsole()], ["Monitors([", "PlainConsole"]),
        (monitor.PlainConsole, ["PlainConsole(...)"]),
        ("plain", ["make_console('plain')"]),
        (print, ["`monitors` must be", "callbacks"]),
        (True, ["`monitors` must be", "True"]),
        (object(), ["`monitors` must be"]),
    ],
)
def test_what_are_no_monitors(monitors, words):
    with keras_dqn.make_envs(EchoEnv) as envs:
        agent = make_agent()
        refuses(lambda: agent.fit(envs, monitors=monitors), *words)
        refuses(lambda: agent.learner, "`learner`", error=RuntimeError)


@pytest.mark.parametrize(
    ("replay", "instead"),
    [
        (1000, "PrioritizedReplay(1000)"),
        (2**14, "PrioritizedReplay(16384)"),
        (keras_dqn.UniformReplay, "UniformReplay(...)"),
        ("prioritized", "PrioritizedReplay("),
        ([], "PrioritizedReplay("),
    ],
)
def test_what_is_no_replay(replay, instead):
    refuses(lambda: make_agent(replay=replay), "`replay` must be", instead, "Received")


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        (keras.optimizers.Adam, ["Adam(...)"]),
        (1e-3, ["keras.optimizers.Adam(0.001)"]),
        ("adamm", ["`optimizer` must be", "'adamm'"]),
        (keras.Sequential, ["`optimizer` must be", "Sequential"]),
    ],
)
def test_what_is_no_optimizer(optimizer, words):
    agent = make_agent()
    refuses(lambda: agent.compile(optimizer), *words, error=(TypeError, ValueError))


@pytest.mark.parametrize("optimizer", ["sgd", {"class_name": "SGD", "config": {}}])
def test_what_keras_takes_for_an_optimizer_is_one(optimizer):
    make_agent().compile(optimizer)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 8}, ["`settings` must be", "Settings", "batch_size"]),
        (keras_dqn.Settings, ["`settings` must be", "Settings"]),
        (keras_dqn.presets.breakout, ["`settings` must be", "Settings"]),
    ],
)
def test_what_are_no_settings(settings, words):
    with keras_dqn.make_envs(EchoEnv) as envs:
        refuses(lambda: make_agent().fit(envs, settings=settings), *words)


def test_what_is_no_state():
    with keras_dqn.make_envs(EchoEnv) as envs:
        refuses(
            lambda: make_agent().fit(envs, state={}), "`state` must be a `RunState`"
        )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"episodes": 0}, "episodes"),
        ({"episodes": "all"}, "episodes"),
        ({"episodes": None}, "episodes"),
        ({"episodes": 1.5}, "episodes"),
        ({"epsilon": 2}, "epsilon"),
        ({"epsilon": "0.1"}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"seed": -1}, "seed"),
        ({"seed": "one"}, "seed"),
        ({"stop": True}, "stop"),
    ],
)
@pytest.mark.parametrize("is_made", [False, True])
def test_what_no_evaluation_takes(arguments, word, is_made):
    agent = make_agent()
    with keras_dqn.make_envs(EchoEnv) as envs:
        refuses(
            lambda: agent.evaluate(envs if is_made else EchoEnv, **arguments),
            f"`{word}` must be",
            f"Received: {word}=",
            error=(TypeError, ValueError),
        )


@pytest.mark.parametrize("num_envs", [0, "all", 1.5])
def test_no_evaluation_has_such_a_number_of_environments(num_envs):
    refuses(
        lambda: make_agent().evaluate(EchoEnv, num_envs=num_envs),
        "`num_envs` must be",
        f"Received: num_envs={num_envs!r}",
        error=(TypeError, ValueError),
    )


@pytest.mark.parametrize(
    ("make", "instead"),
    [
        (lambda: gymnasium.make("CartPole-v1"), "'CartPole-v1'"),
        (CountingEnv, "CountingEnv"),
        (lambda: gymnasium.make_vec("CartPole-v1", num_envs=3), "'CartPole-v1'"),
        (lambda: 3, "an id or a constructor"),
    ],
)
def test_what_no_evaluation_can_be_made_of(make, instead):
    env = make()
    refuses(lambda: make_agent().evaluate(env), "`env` must be", instead, "Received")


@pytest.mark.parametrize("method", ["evaluate", "fit"])
def test_the_environments_of_a_running_fit(method):
    """Their games would be broken off in the middle of the training."""
    options = dict(env_steps=24, learning_starts_env_steps=16, monitors=None)
    options |= dict(updates_per_iteration=1, batch_size=4)
    seen = []

    def meddle(agent, progress):
        refuses(
            lambda: getattr(agent, method)(envs),
            "`fit`",
            "Received: envs=",
            error=ValueError,
        )
        seen.append(progress.env_steps)

    with keras_dqn.make_envs(EchoEnv) as envs:
        agent = make_agent(replay=keras_dqn.UniformReplay(64))
        agent.fit(envs, callbacks=[meddle], **options)
        assert len(seen) > 1  # the training went on
        assert agent.evaluate(envs, episodes=1).lengths.tolist() == [16]
        agent.fit(envs, **options)
