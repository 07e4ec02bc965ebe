"""A user's program for type checkers: mypy reads this file, and nothing runs it.

Each `type: ignore` is a mistake that mypy must find. Where it finds none, the comment
is unused, and `tox -e lint` fails (`warn_unused_ignores`).
"""

from typing import assert_type

import numpy as np

import keras_dqn
from keras_dqn.envs import Step
from keras_dqn.envs import VectorEnvs
from keras_dqn.evaluation import Evaluation
from keras_dqn.progress import Progress


def right(agent: keras_dqn.DQNAgent, rng: np.random.Generator) -> None:
    envs = keras_dqn.make_envs("CartPole-v1", num_envs=8, seed=0)
    assert_type(envs, VectorEnvs)
    assert_type(envs.num_actions, int)
    assert_type(envs.step([0] * 8), Step)
    replay = keras_dqn.PrioritizedReplay(2**14, alpha=0.5)
    assert_type(replay.sample(32, rng).ids, np.ndarray)
    agent.compile(optimizer="adam", huber_delta=2.0)
    assert_type(
        agent.fit(envs, env_steps=1_000, callbacks=[stop_early], batch_size=64),
        Progress | None,
    )
    assert_type(agent.evaluate("CartPole-v1", episodes=30), Evaluation | None)
    settings = keras_dqn.presets.breakout(env_steps=1_000_000)
    assert_type(settings, keras_dqn.Settings)
    assert_type(settings.epsilon_schedule(0), float)
    assert_type(keras_dqn.PiecewiseSchedule(((0, 1.0), (9, 0.5)), 0.1)(3), float)


def stop_early(agent: keras_dqn.DQNAgent, progress: Progress) -> bool:
    return progress.env_steps_done > 500


def wrong(agent: keras_dqn.DQNAgent, envs: VectorEnvs) -> None:
    keras_dqn.make_envs("CartPole-v1", num_envs="8")  # type: ignore[arg-type]
    keras_dqn.make_envs(3)  # type: ignore[arg-type]
    keras_dqn.DQNAgent(None, replay=2**14)  # type: ignore[arg-type]
    keras_dqn.PrioritizedReplay(capacity="2**14")  # type: ignore[arg-type]
    agent.fit(env_steps=3)  # type: ignore[call-arg]
    agent.fit(envs, callbacks=stop_early)  # type: ignore[arg-type]
    agent.compile(huber_delta="1")  # type: ignore[arg-type]
    agent.train(envs)  # type: ignore[attr-defined]
    keras_dqn.load_network(3)  # type: ignore[arg-type]
    keras_dqn.Agent  # type: ignore[attr-defined] # noqa: B018
    length: str = envs.num_envs  # type: ignore[assignment] # noqa: F841
