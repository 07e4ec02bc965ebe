"""The program of `keras-dqn train`: environments and agent from `Settings`."""

from __future__ import annotations

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
    shapes = envs.num_actions, envs.observation_shape
    agent = DQNAgent(models.for_settings(settings, *shapes), replay)
    agent.compile_for(settings)
    return agent
