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
    def mean_age(self) -> float:
        """Mean age of the transitions, in agent steps of all environments.

        The age is the number of transitions that were added later: 0 for the newest.
        """
        return float(self.newest - self.ids.mean())

    @property
    def effective_sample_size(self) -> float:
        """`(sum w)^2 / sum w^2` of the weights `w` of a minibatch, in transitions.

        It is the size of a minibatch of equal weights whose weighted mean has the same
        variance. Float from 1 to `batch_size`, the mean over the minibatches; 0 if
        all weights are 0.

        Reference:
            - Kish, L., 1965, "Survey Sampling", Wiley.
        """
        weights = self.batch["weights"].astype(np.float64)
        weights = weights.reshape(-1, weights.shape[-1])
        squares = np.maximum(np.einsum("ij,ij->i", weights, weights), 1e-300)
        return float((weights.sum(1) ** 2 / squares).mean())
