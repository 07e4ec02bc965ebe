"""The program of `keras-dqn train`: environments and agent from `Settings`."""

from __future__ import annotations

import keras

from keras_dqn import models
from keras_dqn import presets
from keras_dqn.agent import DQNAgent
from keras_dqn.config import Settings
from keras_dqn.envs import VectorEnvs
from keras_dqn.envs import make_envs
from keras_dqn.evaluation import Evaluation
from keras_dqn.replay.arguments import from_settings
from keras_dqn.runs.run import Run


def train(run: Run) -> Evaluation | None:
    """Trains and evaluates as the settings say.

    Args:
        run: `runs.run.Run`.

    Returns:
        `Evaluation`, see `Run.evaluate`.
    """
    settings = run.settings
    options = presets.env_options(settings)
    envs = make_envs(settings.env_id, settings.num_envs, **options)
    agent = make_agent(settings, envs)
    with run.training(agent, envs) as fit_options:
        agent.fit(envs, **fit_options)
    return run.evaluate()


def make_agent(settings: Settings, envs: VectorEnvs) -> DQNAgent:
    """Returns a compiled `DQNAgent` for the environments."""
    replay = from_settings(settings.to_dict())
    agent = DQNAgent(make_network(settings, envs), replay)
    optimizer = keras.optimizers.Adam(
        settings.learning_rate,
        epsilon=settings.adam_epsilon,
        clipnorm=settings.clipnorm,
    )
    agent.compile(
        optimizer,
        double_q=settings.double_q,
        huber_delta=settings.huber_delta,
        jit_compile=settings.jit_compile,
    )
    return agent


def make_network(settings: Settings, envs: VectorEnvs) -> keras.Model:
    """Returns a dueling network: convolutional for images, dense for vectors."""
    units, seed = settings.hidden_units, settings.seed
    shapes = envs.num_actions, envs.observation_shape
    dtype = settings.dtype_policy
    if len(envs.observation_shape) == 3:
        return models.dueling_cnn(*shapes, units, seed=seed, dtype=dtype)
    return models.dueling_mlp(*shapes, (units, units), seed=seed, dtype=dtype)
