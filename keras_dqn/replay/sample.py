"""A minibatch, as `Replay.sample` returns it."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sample:
    """A minibatch of transitions.

    Attributes:
        batch: Dictionary of arrays, where `n` is `(batch_size,)` or
            `(batches, batch_size)`:

            - `observations`, `next_observations`: the replay's dtype, shape
              `(*n, *stored_shape)`. They may share memory: do not write to them.
              With `frames="numbers"`: int32 row numbers in the attached copy of
              the frames, shape `(*n, frame_stack)`, or `n` without stacks.
            - `actions`: int32, shape `n`.
            - `rewards`: float32, shape `n`, n-step returns.
            - `discounts`: float32, shape `n`, the factor of the value of
              `next_observations` in the target; 0 where the episode terminated.
            - `weights`: float32, shape `n`, importance-sampling weights.
        ids: int64, shape `n`, to be given to `update_priorities`.
        newest: Integer, the id of the transition that was added last.
    """

    batch: dict[str, np.ndarray]
    ids: np.ndarray
    newest: int

    @property
    def ages(self) -> np.ndarray:
        """The age of each transition, int64, shape `n`, in agent steps.

        It is the number of transitions, of all environments, that were added later.
        """
        return self.newest - self.ids


def effective_sample_size(weights: np.ndarray) -> float:
    """Returns `(sum w)^2 / sum w^2` of the weights `w` of a minibatch, in transitions.

    It is the size of a minibatch of equal weights whose weighted mean has the same
    variance.

    Args:
        weights: Float array, shape `(*batches, batch_size)`.

    Returns:
        Float from 1 to `batch_size`, the mean over the minibatches. A minibatch whose
        weights are all 0 counts as 0.

    Reference:
        - Kish, L., 1965, "Survey Sampling", Wiley.
    """
    weights = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    squares = np.maximum(np.square(weights).sum(1), 1e-300)
    return float((weights.sum(1) ** 2 / squares).mean())
