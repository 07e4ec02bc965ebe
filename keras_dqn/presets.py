"""Settings that go together, each value with its source.

A preset is a function: `breakout(env_steps=1_000_000, seed=3)` is the preset with
two changes. The schedules follow `env_steps` unless they are given too.
"""

from __future__ import annotations

from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.config import checked


def breakout(**changes):
    """Returns the seed: Atari Breakout, number by number.

    Numbers in the comments are rows of the seed's specification.

    Args:
        **changes: Fields of `Settings` to change. The corners of the schedules
            are made for the resulting `env_steps`; at 40,000,000 they are the
            seed's.

    Returns:
        `Settings`.

    Raises:
        SettingsError: If a change is unknown or out of range, or if the changes
            do not fit together.
    """
    env_steps = checked("env_steps", changes.get("env_steps", 40_000_000))  # 1.3
    half = max(2, env_steps // 2)
    values = {
        "env_id": "Breakout",  # 8A.1
        "num_envs": 8,  # 1.4
        "repeat_action_probability": None,  # 8C: none, and "Breakout" has none
        "life_loss": "reset",  # 8A.5, 8A.6, 8A.8: a real reset after each life
        "noop_max": 30,  # 8A.8; see Q16
        "clip_rewards": False,  # 8A.2, Q14
        "frame_skip": 4,  # 8A.2
        "max_episode_frames": 108_000,  # 8C
        "full_action_space": False,  # 1.15, 8A.11
        "fire_reset": True,  # 8A.8
        "replay_kind": "prioritized",  # 6
        "replay_capacity": 2**14,  # 1.11
        "alpha": 0.6,  # 1.12
        "priority_epsilon": 1e-6,  # 1.13
        "replay_device": "host",
        "n_steps": 1,  # 4.5
        "gamma": 0.99,  # 1.1
        "hidden_units": 256,  # 2.3
        "learning_rate": 1e-4,  # 1.2
        "adam_epsilon": 1e-8,  # 4.9
        "clipnorm": 10.0,  # 1.14
        "huber_delta": 1.0,  # 4.7
        "double_q": True,  # 4.3, 4.4
        "dtype_policy": "float32",  # 2.2
        "jit_compile": "auto",  # changes the speed, not the step
        "env_steps": env_steps,
        "vector_steps_per_iteration": 4,  # 1.5
        "batch_size": 32,  # 1.9
        "updates_per_iteration": 8,  # 1.7
        "updates_per_dispatch": 1,  # 9.4: priorities are written after each step
        "learning_starts_env_steps": None,  # 9.2, Q13: when the replay is full
        "target_sync_env_steps": 10_000,  # 1.10, Q5
        "epsilon_endpoints": (  # 7.2; made to fit shorter runs, Q12
            (0, 1.0),
            (max(1, min(1_000_000, env_steps // 4)), 0.1),
            (half, 0.01),
        ),
        "epsilon_outside": 0.01,  # 7.2
        "beta_endpoints": ((0, 0.4), (env_steps, 1.0)),  # 7.3
        "beta_outside": 1.0,  # 7.3
        "seed": 7,  # 1.17
        "log_interval_iterations": 10,  # 9.2 e
        "checkpoint_interval_iterations": 100_000,  # 9.2 f
        "histogram_interval_iterations": 10,  # 9.2 e
        "evaluation_episodes": 30,  # Mnih et al., 2015, Methods, "Evaluation"
        "evaluation_epsilon": 0.05,  # the same
        "evaluation_interval_iterations": None,
        "stop_at_score": None,
        "env_timeout_seconds": 300.0,
    }
    return Settings.from_dict({**values, **changes})


def atari(**changes):
    """Returns settings for a run of hours on any Atari game.

    The seed's network, loss, optimizer and replay ratio, with the field's usual
    rules of the game and a target network that follows ten times as fast: over a
    short run the seed's own schedule has not got far. With 500,000 env steps it
    is what the learning curve in the README was made with.

    Args:
        **changes: Fields of `Settings` to change, see `breakout`.

    Returns:
        `Settings`.

    Raises:
        SettingsError: See `breakout`.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Training
          details": rewards clipped to their sign.
        - [RL Baselines3 Zoo](https://github.com/DLR-RM/rl-baselines3-zoo),
          `hyperparams/dqn.yml`, `atari`: replay of 100,000, target period 1,000.
    """
    env_steps = checked("env_steps", changes.get("env_steps", 10_000_000))
    values = {
        "life_loss": "terminal",  # the game goes on after a lost life
        "clip_rewards": True,
        "replay_capacity": 100_000,
        "learning_starts_env_steps": max(32, min(16_000, env_steps // 30)),
        "target_sync_env_steps": 1_000,
        "env_steps": env_steps,
        "epsilon_endpoints": (
            (0, 1.0),
            (max(1, env_steps * 4 // 25), 0.1),
            (max(2, env_steps // 2), 0.02),
        ),
        "epsilon_outside": 0.02,
        "checkpoint_interval_iterations": 1_250,  # 40,000 env steps
    }
    return breakout(**{**values, **changes})


def cartpole(**changes):
    """Returns settings for CartPole-v1: minutes on a CPU, and a first check.

    A deep Q-network that has learned to balance the pole forgets it again as its
    replay fills with long balanced episodes. So the run is evaluated every 5,120
    steps, and ends when 100 episodes have a mean of 485, above the customary mark
    of 475.

    Args:
        **changes: Fields of `Settings` to change, see `breakout`.

    Returns:
        `Settings`.

    Raises:
        SettingsError: See `breakout`.

    Reference:
        - [RL Baselines3 Zoo](https://github.com/DLR-RM/rl-baselines3-zoo),
          `hyperparams/dqn.yml`, `CartPole-v1`: 256 steps, then 128 gradient steps
          of 64 transitions at 2.3e-3; networks of 256 units; epsilon 0.04.
    """
    env_steps = checked("env_steps", changes.get("env_steps", 100_000))
    values = {
        "env_id": "CartPole-v1",
        "replay_capacity": 51_200,
        "hidden_units": 256,
        "learning_rate": 2.3e-3,
        "env_steps": env_steps,
        "vector_steps_per_iteration": 32,  # 256 agent steps
        "batch_size": 64,
        "updates_per_iteration": 128,  # one gradient step for two agent steps
        "learning_starts_env_steps": 1_000,
        "target_sync_env_steps": 256,
        "epsilon_endpoints": ((0, 1.0), (max(1, min(8_000, env_steps // 5)), 0.04)),
        "epsilon_outside": 0.04,
        "beta_endpoints": ((0, 0.4), (env_steps, 1.0)),
        "log_interval_iterations": 4,
        "checkpoint_interval_iterations": 1_000,
        "histogram_interval_iterations": 4,
        "evaluation_episodes": 100,
        "evaluation_epsilon": 0.0,
        "evaluation_interval_iterations": 20,
        "stop_at_score": 485.0,
    }
    return Settings.from_dict({**values, **changes})


PRESETS = {"breakout": breakout, "atari": atari, "cartpole": cartpole}


def names():
    """Returns the names of all presets, for the command line."""
    return tuple(PRESETS)


def get(name):
    """Returns the preset `name`, a function of changes.

    Raises:
        SettingsError: If there is no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(
            f"`preset` must be one of {', '.join(map(repr, PRESETS))}. "
            f"Received: preset={name!r}",
            "preset",
        )
    return PRESETS[name]
