"""Base class of the three `DeviceFrames`: frames on the device."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor


class BaseDeviceFrames:
    """Frames on the learner's device, which batches refer to by number.

    There are two tables: a ring of `rows` frames, which are overwritten (the last one
    stays zero), and the final frames of episodes, a table that grows. Frame number
    `i` is row `i` of the ring if `i < rows`, else row `i - rows` of the final frames.
    `keras_dqn.replay.mirror` keeps the tables up to date.

    Args:
        rows: Integer, rows of the ring.
        frame_shape: Tuple, the shape of a frame.
        dtype: The frames' dtype.
    """

    # Defined by each backend.
    gather: Callable[..., Tensor]
    _zeros: Callable[..., Tensor]
    _write_rows: Callable[..., Tensor]
    _concatenate: Callable[..., Tensor]

    def __init__(
        self, rows: int, frame_shape: Sequence[int], dtype: npt.DTypeLike
    ) -> None:
        self._frame_shape = tuple(frame_shape)
        self._dtype = np.dtype(dtype).name
        self._ring = self._zeros(rows)
        self._finals = self._zeros(1, grows=True)
        self._final_rows = 1

    @property
    def tables(self) -> tuple[Tensor, Tensor]:
        """The ring and the table of final frames, for `gather`."""
        return self._ring, self._finals

    def write(self, rows: np.ndarray, frames: np.ndarray) -> None:
        """Writes frames `(n, *frame_shape)` to rows of the ring, int32 `(n,)`."""
        self._ring = self._write_rows(self._ring, rows, np.ascontiguousarray(frames))

    def write_final(self, row: int, frame: np.ndarray) -> None:
        """Writes a final frame, of shape `frame_shape`, to a row of its table."""
        rows, frames = np.array([row], np.int32), np.array(frame)[None]
        self._finals = self._write_rows(self._finals, rows, frames)

    def grow_finals(self, rows: int) -> None:
        """Extends the table of final frames with zeros to `rows` rows."""
        more = self._zeros(rows - self._final_rows)
        self._final_rows = rows
        self._finals = self._concatenate(self._finals, more)

    @classmethod
    def look_up(cls, batch: Batch, tables: Tensor) -> Batch:
        """Returns the batch with frames in place of their numbers.

        Without `tables`, it is returned unchanged.
        """
        if tables is None:
            return batch
        names = ("observations", "next_observations")
        return {**batch, **{name: cls.gather(tables, batch[name]) for name in names}}
