"""What a step of the environments returns, and the error of one that cannot go on."""

from __future__ import annotations

import dataclasses

import numpy as np


class EnvFault(RuntimeError):
    """An environment failed, or returned what no run can use.

    The message names the environment and the step of its episode. If the
    environment raised, that exception is the `__cause__`.
    """


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """One finished episode.

    Attributes:
        env_index: Which of the environments it was played in.
        score: Sum of the raw (unclipped) rewards.
        length: Agent steps.
        lives: Lives left when it ended: 0 at game over, -1 where the
            environment has no lives.
        truncated: Whether a time limit ended it.
        final_frame: uint8 array, the newest frame that the agent saw before the
            action that ended the episode; `(84, 84)` for Atari, the image for
            environments that show one, else `None`. A copy of its own.
    """

    env_index: int
    score: float
    length: int
    lives: int
    truncated: bool
    final_frame: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """The outcome of one action in each of `n` environments.

    The arrays belong to the receiver: no later step writes to them.

    Attributes:
        observations: Array, shape `(n, *stored_shape)`: what to act on next.
            After a restart, the first observation of the new episode.
        rewards: float32 array, shape `(n,)`, raw.
        training_rewards: float32 array, shape `(n,)`: the sign of the raw reward
            if rewards are clipped, else the raw reward.
        terminated: bool array, shape `(n,)`: nothing follows, so do not
            bootstrap. With `life_loss="terminal"` or `"reset"` a lost life counts.
        truncated: bool array, shape `(n,)`: cut by a time limit; bootstrap from
            `final_observations`. Never true together with `terminated`.
        restarted: bool array, shape `(n,)`: `observations[i]` begins a new
            episode. A restart is always terminated or truncated; with
            `life_loss="terminal"` a lost life is terminated without a restart.
        final_observations: Array like `observations`: the true successor of the
            action. Equals `observations` where nothing restarted, and may be
            the same array if nothing restarted at all.
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
