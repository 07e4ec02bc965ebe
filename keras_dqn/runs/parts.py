"""The program of `keras-dqn train`: environments and agent from `Settings`."""

from __future__ import annotations

import keras

from keras_dqn import models
from keras_dqn import presets
from keras_dqn.agent import DQNAgent
from keras_dqn.algorithms import arguments
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
    agent.compile(**arguments.from_settings(settings))
    return agent


def make_network(settings: Settings, envs: VectorEnvs) -> keras.Model:
    """Returns the network that the settings describe.

    Raises:
        ValueError: If the body does not take the observations.
    """
    is_image = len(envs.observation_shape) == 3
    body = settings.body
    if body == "auto":
        body = "nature" if is_image else "mlp"
    return models.q_network(
        envs.num_actions,
        envs.observation_shape,
        body=body,
        body_width=settings.body_width,
        hidden_units=settings.hidden_units,
        dueling=settings.dueling,
        outputs_per_action=arguments.outputs_per_action(settings),
        seed=settings.seed,
        dtype=settings.dtype_policy,
        # What it was called before there were other networks.
        name="dueling_cnn" if is_image else "dueling_mlp",
    )
