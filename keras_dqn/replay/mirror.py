"""A second copy of a ring's frames, somewhere else: on the accelerator.

With it a sample need not hold frames, only their numbers, and the stacks are put
together where the copy lies. Every frame that a stack can show has a number:

    env * columns + column    a frame of the ring
    zero_row                  the frame of zeros, from before an episode's start
    zero_row + 1 + i          row i of the table of final frames

The ring on the host stays the truth: checkpoints are made of it, and the copy can
be made of it again at any time. Numbers hold until the next step is added.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from keras_dqn.replay.frames import FrameRing


class HostFrames:
    """A copy in NumPy: what a learner's `DeviceFrames` does, in the plainest way.

    Args:
        rows: Integer, the frames of the ring and the one of zeros, which is last.
        frame_shape: Tuple.
        dtype: The frames' dtype.
    """

    def __init__(
        self, rows: int, frame_shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> None:
        self._frames = np.zeros((rows, *frame_shape), dtype)
        self._finals = np.zeros((1, *frame_shape), dtype)

    def write(self, rows: np.ndarray, frames: np.ndarray) -> None:
        """Takes frames of the ring.

        Args:
            rows: int32 array, shape `(n,)`, their numbers. `n` never changes.
            frames: Array `(n, *frame_shape)`.
        """
        self._frames[rows] = frames

    def write_final(self, row: int, frame: np.ndarray) -> None:
        """Takes a final frame.

        Args:
            row: Integer, its row in the table.
            frame: Array `frame_shape`.
        """
        self._finals[row] = frame

    def grow_finals(self, rows: int) -> None:
        """Makes the table of final frames `rows` long; what is in it stays."""
        finals = np.zeros((rows, *self._finals.shape[1:]), self._finals.dtype)
        finals[: len(self._finals)] = self._finals
        self._finals = finals

    def gather(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the frames with these numbers.

        Args:
            numbers: int32 array of any shape.

        Returns:
            Array `(*numbers.shape, *frame_shape)`.
        """
        count = len(self._frames)
        frames = self._frames[np.minimum(numbers, count - 1)]
        finals = self._finals[np.maximum(numbers - count, 0)]
        is_final = numbers >= count
        is_final = is_final.reshape(is_final.shape + (1,) * (self._frames.ndim - 1))
        return np.where(is_final, finals, frames)


class Mirror:
    """Keeps a copy equal to a `FrameRing`, and numbers its frames.

    Args:
        ring: `FrameRing`. Its frames are written to the copy at once.
        copy: `HostFrames`, or a learner's `DeviceFrames`, of `rows_of(ring)` rows.
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
        """Writes all that the ring holds, after it was loaded."""
        ring = self._ring
        self._free_rows = list(range(self._table_rows))[::-1]
        for column in range(min(ring.time + 1, ring.columns) if ring.is_started else 0):
            self.write(column)
        for slot in ring.finals.slots():
            self.put_final(slot, ring.finals.get(slot))

    def write(self, column: int) -> None:
        """Writes a column of the ring: the newest frame of every environment."""
        self.copy.write(self._first_rows + column, self._ring.frames[:, column])

    def put_final(self, slot: int, frame: np.ndarray) -> None:
        """Writes the frame with which the transition in this slot ended."""
        if not self._free_rows:
            rows = max(64, 2 * self._table_rows)
            self._free_rows = list(range(self._table_rows, rows))[::-1]
            self._table_rows = rows
            self.copy.grow_finals(rows)
        row = self._free_rows.pop()
        self._final_rows[slot] = row
        self.copy.write_final(row, frame)

    def drop_final(self, slot: int) -> None:
        """The transition in this slot, which had ended, is overwritten."""
        self._free_rows.append(int(self._final_rows[slot]))

    def numbers(self, transitions: np.ndarray, first: int, last: int) -> np.ndarray:
        """Returns the numbers of the frames that `FrameRing.gather` would copy.

        Args:
            transitions, first, last: As of `FrameRing.gather`.

        Returns:
            int32 array, shape `(n, last - first + 1)`.
        """
        ring = self._ring
        times = transitions // ring.num_envs
        envs = transitions - times * ring.num_envs
        frames = np.arange(first, last + 1)
        numbers = (times[:, None] + frames) % ring.columns + envs[
            :, None
        ] * ring.columns
        numbers = numbers.astype(np.int32)
        slots = transitions % ring.capacity
        numbers[frames < -ring.ages.take(slots)[:, None].astype(int)] = self._zero_row
        if last == 1:
            ended = ring.ended.take(slots).nonzero()[0]
            numbers[ended, -1] = self._zero_row + 1 + self._final_rows[slots[ended]]
        return numbers


def rows_of(ring: FrameRing) -> int:
    """Returns the rows that a copy needs: all frames of the ring, and the zeros."""
    rows = ring.num_envs * ring.columns + 1
    if rows > np.iinfo(np.int32).max // 2:
        raise ValueError(
            "A replay of so many frames has no copy elsewhere: they are numbered in "
            f"32 bits. Received: {rows - 1} frames"
        )
    return rows


def nbytes_of(ring: FrameRing) -> int:
    """Returns the bytes of the copy, but for its table of final frames."""
    return rows_of(ring) * math.prod(ring.frame_shape) * ring.dtype.itemsize
