"""The result of a step of the environments, and the error if one of them fails."""

from __future__ import annotations

import dataclasses

import numpy as np


class EnvFault(RuntimeError):
    """An environment raised an exception or returned an invalid value.

    The message names the environment and the step of its episode. If the
    environment raised, that exception is the `__cause__`.
    """


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """One finished episode.

    Attributes:
        env_index: Index of the environment.
        score: Sum of the raw (unclipped) rewards.
        length: Number of agent steps.
        lives: Lives left when it ended: 0 at game over, -1 where the
            environment has no lives.
        truncated: Whether a time limit ended it.
        final_frame: uint8 array, the newest frame that the agent saw before the
            action that ended the episode; `(84, 84)` for Atari, the image where
            observations are images, else `None`. It is a copy.
    """

    env_index: int
    score: float
    length: int
    lives: int
    truncated: bool
    final_frame: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """The results of one action in each of `n` environments.

    No later step writes to these arrays.

    Attributes:
        observations: Array, shape `(n, *stored_shape)`: the observations for the
            next actions. After a restart, the first of the new episode.
        rewards: float32 array, shape `(n,)`: the raw rewards.
        training_rewards: float32 array, shape `(n,)`: the sign of the raw reward
            if rewards are clipped, else the raw reward.
        terminated: bool array, shape `(n,)`: the action led to a terminal state, so
            targets do not bootstrap. With `life_loss="terminal"` or `"reset"`, a
            lost life is terminal.
        truncated: bool array, shape `(n,)`: a time limit ended the episode, so
            targets bootstrap from `final_observations`. Never true together with
            `terminated`.
        restarted: bool array, shape `(n,)`: `observations[i]` begins a new
            episode. Where it is true, `terminated` or `truncated` is true. With
            `life_loss="terminal"`, a lost life is terminated without a restart.
        final_observations: Array like `observations`: the observations that the
            actions led to, before any restart. Equals `observations` where nothing
            restarted, and may be the same array if nothing restarted at all.
        episodes: The `Episode` records of the episodes that ended, in the order
            of `env_index`.
    """

    observations: np.ndarray
    rewards: np.ndarray
    training_rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    restarted: np.ndarray
    final_observations: np.ndarray
    episodes: tuple[Episode, ...]
