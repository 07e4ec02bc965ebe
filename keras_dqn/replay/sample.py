"""A minibatch, as `Replay.sample` returns it."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sample:
    """A minibatch of transitions.

    Attributes:
        batch: Dictionary of arrays; `n` is `(batch_size,)`, or
            `(batches, batch_size)`. `observations` and `next_observations`,
            `(*n, *stored_shape)`, of the replay's dtype. They may share memory: do
            not write to them. With `frames="numbers"` they are int32 row numbers in
            the attached copy of the frames: `(*n, frame_stack)`, or `n` without
            stacks. `actions`: int32, shape `n`. `rewards`, `discounts` and
            `weights`: float32, shape `n`.
        ids: int64, shape `n`. The argument of `update_priorities`.
    """

    batch: dict[str, np.ndarray]
    ids: np.ndarray
