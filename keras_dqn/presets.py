"""Presets: complete `Settings` for a task.

A preset is a function: `breakout(env_steps=1_000_000, seed=3)` returns the preset with
two fields changed. Schedules that are not given are scaled to the length of the run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn import checks
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.config import checked
from keras_dqn.papers import PAPERS

if TYPE_CHECKING:
    from keras_dqn.envs.base import VectorEnvs
    from keras_dqn.replay.base import Replay


def breakout(**changes: Any) -> Settings:
    """Returns the settings of the reference implementation, for Atari Breakout.

    They are the defaults of `Settings`. Only the schedules depend on `env_steps`. With
    40,000,000 agent steps they equal those of the reference implementation.

    Args:
        **changes: Fields of `Settings` to change.

    Returns:
        `Settings`.

    Raises:
        SettingsError: If a field is unknown or out of range, or if the settings
            contradict each other.
    """
    env_steps = _env_steps(changes, FIELDS["env_steps"].default)
    (_, first), (early, second), (_, third) = FIELDS["epsilon_endpoints"].default
    early = max(1, min(early, env_steps // 4))
    epsilon = ((0, first), (early, second), (max(2, env_steps // 2), third))
    return _settings(env_steps, changes, epsilon_endpoints=epsilon)


def atari(**changes: Any) -> Settings:
    """Returns settings for any Atari game, for runs of hours.

    Network, loss, optimizer and replay ratio are those of `breakout`. As in published
    work, rewards are clipped and a lost life ends the episode only for the targets.
    The target network is updated ten times as often as in `breakout`.

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
    env_steps = _env_steps(changes, 10_000_000)
    epsilon_final = 0.02
    return _settings(
        env_steps,
        changes,
        life_loss="terminal",  # a lost life ends the episode for the targets only
        clip_rewards=True,
        replay_capacity=100_000,
        learning_starts_env_steps=max(32, min(16_000, env_steps // 30)),
        target_sync_env_steps=1_000,
        epsilon_endpoints=(
            (0, 1.0),
            (max(1, env_steps * 4 // 25), 0.1),
            (max(2, env_steps // 2), epsilon_final),
        ),
        epsilon_final=epsilon_final,
        checkpoint_interval_iterations=1_250,  # 40,000 agent steps
    )


def cartpole(**changes: Any) -> Settings:
    """Returns settings for CartPole-v1, which takes minutes on a CPU.

    An agent that balances the pole often unlearns it when its replay is full of long
    balanced episodes. So every 5,120 agent steps, 100 episodes are evaluated, and the
    run ends when their mean score is at least 485. A mean of 475 counts as solved.

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
    env_steps = _env_steps(changes, 100_000)
    epsilon_final = 0.04
    return _settings(
        env_steps,
        changes,
        env_id="CartPole-v1",
        replay_capacity=51_200,
        learning_rate=2.3e-3,
        vector_steps_per_iteration=32,  # 256 agent steps
        batch_size=64,
        updates_per_iteration=128,  # one gradient step for two agent steps
        learning_starts_env_steps=1_000,
        target_sync_env_steps=256,
        epsilon_endpoints=(
            (0, 1.0),
            (max(1, min(8_000, env_steps // 5)), epsilon_final),
        ),
        epsilon_final=epsilon_final,
        log_interval_iterations=4,
        checkpoint_interval_iterations=1_000,
        histogram_interval_iterations=4,
        evaluation_episodes=100,
        evaluation_epsilon=0.0,
        evaluation_interval_iterations=20,
        stop_at_score=485.0,
    )


def _env_steps(changes, default):
    """Returns the length of the run in agent steps, checked."""
    return checked("env_steps", changes.get("env_steps", default))


def _settings(env_steps, changes, **values):
    """Returns the `Settings` of a preset. Beta rises over the whole run."""
    (_, first), (_, last) = FIELDS["beta_endpoints"].default
    beta = ((0, first), (env_steps, last))
    values = {"env_steps": env_steps, "beta_endpoints": beta, **values}
    return Settings.from_dict({**values, **changes})


def paper(name: str, **changes: Any) -> Settings:
    """Returns the settings of a published algorithm for Atari, 50 million agent steps.

    In a shorter run epsilon falls within its first fourth at the latest, and training
    starts within its first thirtieth.

    Args:
        name: String, one of `papers.PAPERS`.
        **changes: Fields of `Settings` to change, see `breakout`.

    Returns:
        `Settings`.

    Raises:
        SettingsError: See `breakout`.
    """
    found = PAPERS[name]
    env_steps = _env_steps(changes, 50_000_000)
    last = max(1, min(found.exploration_env_steps, env_steps // 4))
    starts = min(found.learning_starts_env_steps, env_steps // 30)
    return _settings(
        env_steps,
        changes,
        learning_starts_env_steps=max(32, starts),
        epsilon_endpoints=((0, 1.0), (last, found.fields["epsilon_final"])),
        **found.fields,
    )


OURS = {"breakout": breakout, "atari": atari, "cartpole": cartpole}
PRESETS: dict[str, Callable[..., Settings]] = {
    **OURS,
    **{name: functools.partial(paper, name) for name in PAPERS},
}


def names() -> tuple[str, ...]:
    """Returns the names of all presets, for the command line."""
    return tuple(PRESETS)


def get(name: str) -> Callable[..., Settings]:
    """Returns the preset with this name, a function like `breakout`.

    Raises:
        SettingsError: If there is no such preset.
    """
    try:
        return PRESETS[checks.choice("preset", name, PRESETS)]
    except checks.ArgumentError as error:
        raise SettingsError(str(error), "preset") from None


_ATARI_FIELDS = (
    "repeat_action_probability",
    "life_loss",
    "noop_max",
    "clip_rewards",
    "frame_skip",
    "max_episode_frames",
    "full_action_space",
    "fire_reset",
)


def env_options(settings: Settings) -> dict[str, Any]:
    """Returns the Atari options for `make_envs` from the settings.

    Args:
        settings: `Settings`.

    Returns:
        Dictionary, empty if `settings.env_id` is not an Atari game.

    Raises:
        SettingsError: If an Atari option is changed for any other environment.
    """
    from keras_dqn.envs import is_atari  # slow to import

    options = {name: getattr(settings, name) for name in _ATARI_FIELDS}
    if is_atari(settings.env_id):
        return options
    for name, value in options.items():
        if value != FIELDS[name].default:
            raise SettingsError(
                f"`{name}` is an option of Atari games only. Received: "
                f"env_id={settings.env_id!r}, {name}={value!r}",
                name,
            )
    return {}


# Fields of `Settings` that can be changed in `fit`.
_FIT_FIELDS = (
    "vector_steps_per_iteration",
    "batch_size",
    "updates_per_iteration",
    "updates_per_dispatch",
    "replay_device",
    "learning_starts_env_steps",
    "target_sync_env_steps",
    "epsilon_endpoints",
    "epsilon_final",
    "beta_endpoints",
    "beta_final",
    "seed",
    "log_interval_iterations",
    "checkpoint_interval_iterations",
    "histogram_interval_iterations",
)


def options_for(env: object, settings: Settings | None) -> dict[str, Any]:
    """Returns the options with which `fit` makes environments of `env`.

    Args:
        env: See `DQNAgent.fit`.
        settings: `Settings`, or `None`: the defaults of `make_envs`.
    """
    from keras_dqn.envs import is_atari  # slow to import

    if settings is None:
        return {}
    own = env_options(settings.replace(env_id=env)) if is_atari(env) else {}
    return {"num_envs": settings.num_envs, **own}


def for_fit(
    envs: VectorEnvs,
    replay: Replay,
    settings: Settings | None,
    changes: Mapping[str, Any],
) -> Settings:
    """Returns the settings for `fit`, completed from environments and replay.

    Args:
        envs: Vector environments.
        replay: `PrioritizedReplay` or `UniformReplay`.
        settings: `Settings` to start from, or `None`: the Breakout preset.
        changes: Dictionary, the fields of `Settings` passed to `fit`.

    Raises:
        SettingsError: If a field is unknown, out of range, or cannot be changed in
            `fit`, or if neither `settings` nor `env_steps` is given.
    """
    if settings is None and "env_steps" not in changes:
        raise SettingsError(
            "`env_steps`, the length of the training in agent steps, must be given. "
            "For example: agent.fit(envs, env_steps=100_000)",
            "env_steps",
        )
    for name in changes:
        if name in FIELDS and name not in _FIT_FIELDS and name != "env_steps":
            raise SettingsError(
                f"`{name}` is set on the environments, the replay, the network or the "
                "optimizer, or passed to `evaluate`; `fit` does not take it. "
                f"Received: {name}={changes[name]!r}",
                name,
            )
    own = {key: value for key, value in envs.options.items() if key in FIELDS}
    own.pop("seed", None)
    own |= {"num_envs": envs.num_envs, "env_id": envs.env_id, **replay.settings}
    start = breakout if settings is None else settings.replace
    return start(**{**own, **changes})
