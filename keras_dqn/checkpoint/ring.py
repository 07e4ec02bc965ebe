"""Ring buffers: a checkpoint writes only the part that changed.

The frames of a full replay take gigabytes, but only those of the steps since the
last checkpoint are new. So a ring is written as segments. A segment is a file with
some of the columns. It is never changed, and the next checkpoint uses it again if its
columns did not change.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_dqn.checkpoint import manifest
from keras_dqn.system import files

SEGMENT_BYTES = 2**25


@dataclasses.dataclass(frozen=True, eq=False)
class Ring:
    """An array whose columns (second axis) are overwritten one after another.

    Attributes:
        array: NumPy array with at least two axes, which may be strided along the
            first. It may change while it is saved, see `Saving.wait_until_written`.
        time: Integer. Column `time % array.shape[1]` was written last. It may be
            written once more; the next column is that of `time + 1`. Until the ring
            is full, `array` has only the columns written so far.
    """

    array: np.ndarray
    time: int

    @property
    def dtype(self) -> np.dtype:
        """The array's dtype."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    def bounds(self) -> list[tuple[int, int]]:
        """Returns the columns `(start, stop)` of each segment, in order."""
        columns = self.shape[1]
        length = max(1, SEGMENT_BYTES // max(self._column_bytes(), 1))
        starts = range(0, columns, length)
        return [(start, min(start + length, columns)) for start in starts]

    def columns_of(self, entry: dict[str, Any]) -> np.ndarray:
        """Returns the columns of a segment: a view."""
        return self.array[:, entry["start"] : entry["stop"]]

    def segment_bytes(self, entry: dict[str, Any]) -> int:
        """Returns the size of a segment's file."""
        return self._column_bytes() * (entry["stop"] - entry["start"])

    def written_at(self, start: int, stop: int) -> int:
        """Returns the time of the last write to columns `start` to `stop - 1`."""
        columns = self.shape[1]
        newest = self.time % columns
        if newest < start:
            newest += columns
        return self.time - max(0, newest - (stop - 1))

    def overlaps(self, start: int, stop: int, steps: int) -> bool:
        """Whether the next `steps` steps write to columns `start` to `stop - 1`."""
        columns = self.shape[1]
        newest = self.time % columns  # may be written once more
        return start <= newest < stop or (start - newest) % columns <= steps

    def _column_bytes(self):
        return math.prod(self.shape[:1] + self.shape[2:]) * self.dtype.itemsize


class SavedRing:
    """A ring in a checkpoint. `read_into` reads it into existing memory.

    Attributes:
        shape: Tuple, the shape of the array.
        dtype: `numpy.dtype` of the array.
    """

    def __init__(
        self,
        directory: Path,
        entry: dict[str, Any],
        when_read: Callable[[list[dict[str, Any]]], object],
    ) -> None:
        self.shape = tuple(entry["shape"])
        self.dtype = np.dtype(entry["dtype"])
        self._directory = directory
        self._segments = entry["segments"]
        self._when_read = when_read

    def read_into(self, array: np.ndarray) -> None:
        """Fills `array`, which must have this shape and dtype, from the files.

        Raises:
            ValueError, OSError: If `array` does not fit, or a file was changed since
                it was checked. Part of the array may have been overwritten then.
        """
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"`array` must have shape {self.shape} and dtype {self.dtype}. "
                f"Received: array.shape={array.shape}, array.dtype={array.dtype}"
            )
        for entry in self._segments:
            columns = array[:, entry["start"] : entry["stop"]]
            files.read_into(self._directory / entry["file"], [columns])
        self._when_read(self._segments)


def plan(ring: Ring, saved: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the entry of each segment of a ring. New segments have no `file` yet.

    Args:
        ring: `Ring`.
        saved: Entries of the ring's segments when it was last saved or loaded.
    """
    last = {(entry["start"], entry["stop"]): entry for entry in saved}
    planned = []
    for start, stop in ring.bounds():
        entry = last.get((start, stop))
        # `>=`: the column of `entry["time"]` may have been written again since then.
        if entry is None or ring.written_at(start, stop) >= entry["time"]:
            entry = {"start": start, "stop": stop, "time": int(ring.time)}
        planned.append(entry)
    return planned


def in_write_order(ring: Ring, planned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the new segments in the order in which training overwrites them.

    The segment with the newest column is first, because the next step writes to it.
    Those with the oldest columns follow. This order keeps the wait of training short.
    """
    newest = ring.time % max(ring.shape[1], 1)
    new = [entry for entry in planned if "file" not in entry]
    return sorted(new, key=lambda entry: entry["stop"] <= newest)


def entry_of(ring: Ring, segments: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the manifest's entry of a ring."""
    dtype = manifest.dtype_name(ring.dtype)
    return {"dtype": dtype, "shape": list(ring.shape), "segments": segments}
