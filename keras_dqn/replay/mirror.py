"""A second copy of a ring's frames, on an accelerator.

With this copy, a sample holds row numbers instead of frames, and the stacks are
gathered on the accelerator. Every frame that a stack can contain has a row:

    env * columns + column    a frame of the ring
    zero_row                  zeros, the frames before the start of an episode
    zero_row + 1 + i          row i of the table of final frames

The ring on the host stays the reference: checkpoints are made from it, and the copy
can be rebuilt from it. Row numbers are valid until the next step is added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import numpy as np

if TYPE_CHECKING:
    from keras_dqn.replay.frames import FrameRing


class Mirror:
    """Keeps a copy equal to a `FrameRing`, and returns row numbers in it.

    Args:
        ring: `FrameRing`. All its frames are written to the copy at once.
        copy: `DeviceFrames` of `rows_of(ring)` rows, or an object with the same
            methods `write`, `write_final` and `grow_finals`.
    """

    def __init__(self, ring: FrameRing, copy: Any) -> None:
        self._ring = ring
        self.copy = copy
        self._zero_row = rows_of(ring) - 1
        self._first_rows = np.arange(ring.num_envs, dtype=np.int32) * ring.columns
        self._final_rows = np.zeros(ring.capacity, np.int32)  # by slot
        self._table_rows = 0
        self.write_all()

    def write_all(self) -> None:
        """Writes all frames of the ring, for example after it was loaded."""
        ring = self._ring
        self._free_rows = list(range(self._table_rows))[::-1]
        for column in range(min(ring.time + 1, ring.columns) if ring.is_started else 0):
            self.write(column)
        for slot in ring.finals.slots():
            self.put_final(slot, ring.finals.get(slot))

    def write(self, column: int) -> None:
        """Writes one column of the ring: one frame of every environment."""
        self.copy.write(self._first_rows + column, self._ring.frames[:, column])

    def put_final(self, slot: int, frame: np.ndarray) -> None:
        """Writes the last frame of the episode whose last transition is in `slot`."""
        if not self._free_rows:
            rows = max(64, 2 * self._table_rows)
            self._free_rows = list(range(self._table_rows, rows))[::-1]
            self._table_rows = rows
            self.copy.grow_finals(rows)
        row = self._free_rows.pop()
        self._final_rows[slot] = row
        self.copy.write_final(row, frame)

    def drop_final(self, slot: int) -> None:
        """Frees the row of the final frame in `slot`, which is overwritten."""
        self._free_rows.append(int(self._final_rows[slot]))

    def numbers(self, transitions: np.ndarray, first: int, last: int) -> np.ndarray:
        """Returns the row numbers of the frames that `FrameRing.gather` would copy.

        Args:
            transitions, first, last: See `FrameRing.gather`.

        Returns:
            int32 array, shape `(n, last - first + 1)`.
        """
        ring = self._ring
        times = transitions // ring.num_envs
        envs = transitions - times * ring.num_envs
        frames = np.arange(first, last + 1)
        numbers = (times[:, None] + frames) % ring.columns
        numbers = (numbers + envs[:, None] * ring.columns).astype(np.int32)
        slots = transitions % ring.capacity
        numbers[frames < -ring.ages.take(slots)[:, None].astype(int)] = self._zero_row
        if last == 1:
            ended = ring.ended.take(slots).nonzero()[0]
            numbers[ended, -1] = self._zero_row + 1 + self._final_rows[slots[ended]]
        return numbers


def rows_of(ring: FrameRing) -> int:
    """Returns the number of rows of a copy: one per frame, and one of zeros.

    Raises:
        ValueError: If int32 row numbers do not suffice.
    """
    rows = ring.num_envs * ring.columns + 1
    if rows > np.iinfo(np.int32).max // 2:
        raise ValueError(
            "A replay copied to an accelerator must have fewer frames: frames are "
            f"numbered in 32 bits. Received: {rows - 1} frames"
        )
    return rows
