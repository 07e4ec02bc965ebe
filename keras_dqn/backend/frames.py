"""What the three `DeviceFrames` share: frames on the device, looked up by number."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor


class BaseDeviceFrames:
    """Frames on the learner's device, which batches only name.

    A ring of rows that are written over, the last of them zeros for ever, and a
    table of final frames, which grows. Frame `i` is row `i` of the ring; beyond the
    ring, row `i - rows` of the table. `keras_dqn.replay.mirror` says which is which,
    and keeps them up to date.

    Args:
        rows: Integer, rows of the ring.
        frame_shape: Tuple.
        dtype: The frames' dtype.
    """

    # What each backend defines.
    gather: Callable[..., Tensor]
    _zeros: Callable[..., Tensor]
    _written: Callable[..., Tensor]
    _joined: Callable[..., Tensor]

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
        """What `gather` looks frames up in."""
        return self._ring, self._finals

    def write(self, rows: np.ndarray, frames: np.ndarray) -> None:
        """Takes frames of the ring: int32 `(n,)`, and `(n, *frame_shape)`."""
        self._ring = self._written(self._ring, rows, np.ascontiguousarray(frames))

    def write_final(self, row: int, frame: np.ndarray) -> None:
        """Takes a final frame, `frame_shape`, into this row of the table."""
        rows, frames = np.array([row], np.int32), np.array(frame)[None]
        self._finals = self._written(self._finals, rows, frames)

    def grow_finals(self, rows: int) -> None:
        """Makes the table of final frames `rows` long; what is in it stays."""
        more = self._zeros(rows - self._final_rows)
        self._final_rows = rows
        self._finals = self._joined(self._finals, more)

    @classmethod
    def look_up(cls, batch: Batch, tables: Tensor) -> Batch:
        """Returns a batch with the frames that it names; as it is without `tables`."""
        if tables is None:
            return batch
        names = ("observations", "next_observations")
        return {**batch, **{name: cls.gather(tables, batch[name]) for name in names}}
