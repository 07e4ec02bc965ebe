"""The `replay` argument of an agent, and what a replay must know of environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_dqn import checks
from keras_dqn import interfaces
from keras_dqn.replay.base import Replay
from keras_dqn.replay.own import OwnReplay
from keras_dqn.replay.prioritized import PrioritizedReplay
from keras_dqn.replay.uniform import UniformReplay


def as_replay(replay: object) -> Replay:
    """Returns `replay`, or for `None` a `PrioritizedReplay` of 2**14 transitions.

    Raises:
        TypeError: If `replay` is neither `None`, a `Replay` nor an `interfaces.Replay`.
    """
    if replay is None:
        return PrioritizedReplay(2**14)
    if isinstance(replay, interfaces.Replay) and not isinstance(replay, Replay | type):
        return OwnReplay(replay)
    if not isinstance(replay, Replay):
        instead = "keras_dqn.PrioritizedReplay(2**14)"
        if isinstance(replay, int) and replay > 1:
            instead = f"keras_dqn.PrioritizedReplay({replay})"
        elif isinstance(replay, type):
            instead = f"keras_dqn.{replay.__name__}(...)"
        rule = "a `PrioritizedReplay`, a `UniformReplay` or an `interfaces.Replay`"
        raise checks.wrong_kind("replay", rule, replay, instead)
    return replay


def from_settings(values: Mapping[str, Any]) -> Replay:
    """Returns the replay that some fields of `Settings` describe.

    Args:
        values: Dictionary with `replay_kind`, `replay_capacity`, `gamma`, `n_steps`,
            and for a prioritized replay `alpha` and `priority_epsilon`.
    """
    options = {name: values[name] for name in ("gamma", "n_steps")}
    if values["replay_kind"] == "uniform":
        return UniformReplay(values["replay_capacity"], **options)
    options |= {name: values[name] for name in ("alpha", "priority_epsilon")}
    return PrioritizedReplay(values["replay_capacity"], **options)


def stored_by(envs: Any) -> dict[str, Any]:
    """Returns what `Replay.build` must know of vector environments, by argument."""
    return {
        "num_envs": envs.num_envs,
        "stored_shape": envs.stored_shape,
        "dtype": envs.observation_dtype,
        "frame_stack": envs.frame_stack,
    }
