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
    """

    batch: dict[str, np.ndarray]
    ids: np.ndarray
