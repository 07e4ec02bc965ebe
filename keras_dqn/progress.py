"""`Progress`: the record of one iteration, which the training loop yields.

The loop prints nothing and writes no file. Monitors, checkpoints and callbacks read
the record between iterations.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True, repr=False)
class Progress:
    """The record of one iteration (sampling, then training).

    Its representation is short, since a notebook shows what `fit` returns.

    Attributes:
        iteration: Number of this iteration, from 0.
        env_steps: Agent steps, summed over all environments, taken *before*
            this iteration. Schedules are evaluated at it, and values are logged
            under it.
        env_steps_done: Agent steps taken *after* this iteration.
        total_env_steps: Agent steps at which the run ends.
        updates: Gradient steps taken since the start of the run.
        is_training: Whether this iteration took gradient steps.
        epsilon: Probability of a random action in this iteration.
        beta: Exponent of the importance-sampling weights.
        loss: Mean loss over the iteration's gradient steps. Without gradient steps,
            it is `None`, as are `q_mean`, `q_std` and `td_error`.
        q_mean: Mean of Q(s, a) over all sampled transitions.
        q_std: Population standard deviation of Q(s, a).
        td_error: Mean of |TD error| over all sampled transitions.
        episodes: The `Episode` records that ended in this iteration.
        episode_count: Episodes finished since the start of the run.
        score_mean: Mean raw score of the last 100 episodes. `None` before the
            first has ended.
        length_mean: Mean length of the last 100 episodes, in agent steps.
        best_score: Highest score of a training episode so far. `None` before the
            first has ended.
        best_frame: Newest frame before the action that ended the best episode,
            or `None`.
        replay_size: Transitions stored.
        replay_capacity: Largest number of transitions.
        replay_nbytes: Bytes that the replay uses now.
        seconds: Wall time of this iteration's sampling and training, measured
            with a monotonic clock. Monitors, callbacks and saves do not count.
        histogram_q: Q(s, a) of the iteration's last minibatch, float32 `(batch,)`,
            every `histogram_interval_iterations`; otherwise `None`.
        histogram_targets: The targets of the same minibatch, float32 `(batch,)`.
        q_abs_max: Largest |Q(s, a)| over all sampled transitions.
        reward_abs_max: Largest |training reward| since the start of the run.
        learning_rate: The optimizer's learning rate after this iteration.
        gradient_norm: L2 norm of all gradients together before clipping, the mean over
            the iteration's gradient steps. `None` without any.
        effective_sample_size: `(sum w)^2 / sum w^2` of the importance-sampling weights
            `w` of a minibatch, in transitions, the mean over the iteration. `None`
            without gradient steps.
        sample_age_mean: Mean age of all sampled transitions, in agent steps: how many
            were stored later. `None` without gradient steps.
        max_priority: Largest priority so far, which new transitions get. `None` with
            uniform replay.
    """

    iteration: int
    env_steps: int
    env_steps_done: int
    total_env_steps: int
    updates: int
    is_training: bool
    epsilon: float
    beta: float
    loss: float | None
    q_mean: float | None
    q_std: float | None
    td_error: float | None
    episodes: tuple
    episode_count: int
    score_mean: float | None
    length_mean: float | None
    best_score: float | None
    best_frame: np.ndarray | None
    replay_size: int
    replay_capacity: int
    replay_nbytes: int
    seconds: float
    histogram_q: np.ndarray | None = None
    histogram_targets: np.ndarray | None = None
    q_abs_max: float = 0.0
    reward_abs_max: float = 0.0
    learning_rate: float | None = None
    gradient_norm: float | None = None
    effective_sample_size: float | None = None
    sample_age_mean: float | None = None
    max_priority: float | None = None

    @property
    def replay_fill(self) -> float:
        """Fraction of the replay that is filled, from 0 to 1."""
        return self.replay_size / self.replay_capacity

    def __repr__(self) -> str:
        shown = {
            "env_steps_done": self.env_steps_done,
            "updates": self.updates,
            "episode_count": self.episode_count,
            "score_mean": _rounded(self.score_mean),
            "best_score": self.best_score,
            "loss": _rounded(self.loss),
        }
        return f"Progress({', '.join(f'{k}={v}' for k, v in shown.items())}, ...)"

    @property
    def env_steps_per_second(self) -> float:
        """Agent steps per second of sampling and training (not frames)."""
        return (self.env_steps_done - self.env_steps) / max(self.seconds, 1e-9)


def _rounded(value):
    return None if value is None else float(f"{value:.4g}")


def decimals(score: float) -> int:
    """Returns how many decimals of a score to show: two, or more if it is below 1."""
    if score == 0.0 or abs(score) >= 1.0:
        return 2
    return min(12, 2 - math.floor(math.log10(abs(score))))


def divergence_warning(progress: Progress, gamma: float) -> str | None:
    """Returns a warning if Q-values are far larger than any possible return.

    With |reward| <= `r_max`, no |return| exceeds `r_max / (1 - gamma)`. A |Q| above
    ten times that bound is a sign of divergence.

    Args:
        progress: `Progress`.
        gamma: Float from 0 to 1, the discount. At 1 there is no bound and no warning.

    Returns:
        String, or `None` if the Q-values are within the bound.
    """
    largest, rewards = progress.q_abs_max, progress.reward_abs_max
    if rewards == 0.0 or largest * (1.0 - gamma) <= 10.0 * rewards:
        return None
    return (
        f"Warning: |Q| has reached {largest:.3g}, more than 10 times what rewards up "
        f"to {rewards:.3g} and gamma {gamma:g} allow: the network may be diverging. "
        "A lower learning rate, clipped rewards or a longer target_sync_env_steps "
        "may help"
    )
