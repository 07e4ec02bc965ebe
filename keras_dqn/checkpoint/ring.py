"""Rings: arrays of which a checkpoint writes only the part that changed.

The frames of a full replay are gigabytes, of which a checkpoint finds only those
of the steps since the last one new. So they are written as segments, each a file
with some columns of the array, which is never changed: an unchanged segment is
named by the next checkpoint too.
"""

import dataclasses
import math

import numpy as np

from keras_dqn.checkpoint import manifest
from keras_dqn.system import files

SEGMENT_BYTES = 2**25


@dataclasses.dataclass(frozen=True, eq=False)
class Ring:
    """An array whose second axis is written round and round.

    Attributes:
        array: NumPy array, at least two axes; along the first it may have gaps. It
            may go on changing while it is saved, see `Saving.make_way`.
        time: Integer: column `time % array.shape[1]` was written last, and may be
            written once more; then that of `time + 1` is next. Of a ring that has
            not come round yet, only the columns written so far are in `array`.
    """

    array: np.ndarray
    time: int

    @property
    def dtype(self):
        """The array's dtype."""
        return self.array.dtype

    @property
    def shape(self):
        """The array's shape."""
        return self.array.shape

    def bounds(self):
        """Returns `(start, stop)` of all segments, in the order of their columns."""
        columns = self.shape[1]
        length = max(1, SEGMENT_BYTES // max(self._column_bytes(), 1))
        starts = range(0, columns, length)
        return [(start, min(start + length, columns)) for start in starts]

    def columns_of(self, facts):
        """Returns the part of the array that a segment holds: a view."""
        return self.array[:, facts["start"] : facts["stop"]]

    def segment_bytes(self, facts):
        """Returns the size of a segment's file."""
        return self._column_bytes() * (facts["stop"] - facts["start"])

    def written_at(self, start, stop):
        """Returns the latest time, up to now, that wrote to one of these columns."""
        columns = self.shape[1]
        newest = self.time % columns
        if newest < start:
            newest += columns
        return self.time - max(0, newest - (stop - 1))

    def overlaps(self, start, stop, steps):
        """Whether the next `steps` steps write to one of these columns."""
        columns = self.shape[1]
        newest = self.time % columns  # it may be written once more
        return start <= newest < stop or (start - newest) % columns <= steps

    def _column_bytes(self):
        return math.prod(self.shape[:1] + self.shape[2:]) * self.dtype.itemsize


class SavedRing:
    """A ring in a checkpoint: read when the memory for it is there.

    Attributes:
        shape: Tuple.
        dtype: `numpy.dtype`.
    """

    def __init__(self, directory, facts, when_read):
        self.shape = tuple(facts["shape"])
        self.dtype = np.dtype(facts["dtype"])
        self._directory = directory
        self._segments = facts["segments"]
        self._when_read = when_read

    def read_into(self, array):
        """Fills `array`, which has this shape and dtype, from the files.

        Raises:
            ValueError, OSError: If a file was changed since it was checked. Then
                some of the array may have been written.
        """
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"The ring has shape {self.shape} and dtype {self.dtype}. Received: "
                f"array.shape={array.shape}, array.dtype={array.dtype}"
            )
        for facts in self._segments:
            columns = array[:, facts["start"] : facts["stop"]]
            files.read_into(self._directory / facts["file"], [columns])
        self._when_read(self._segments)


def plan(ring, known):
    """Plans the segments of a ring.

    Args:
        ring: `Ring`.
        known: Facts of the ring's segments as they were saved or loaded last, or
            an empty list.

    Returns:
        List of facts, one for each segment. Those without `file` must be written.
    """
    last = {(facts["start"], facts["stop"]): facts for facts in known}
    planned = []
    for start, stop in ring.bounds():
        facts = last.get((start, stop))
        # What was written at the very time of the last save may have changed since.
        if facts is None or ring.written_at(start, stop) >= facts["time"]:
            facts = {"start": start, "stop": stop, "time": int(ring.time)}
        planned.append(facts)
    return planned


def to_write(ring, planned):
    """Returns those planned segments that must be written, in a good order.

    First what holds the newest column, which is written to next, then what holds
    the oldest: the trainer, which overwrites in that order, need not wait.
    """
    newest = ring.time % max(ring.shape[1], 1)
    new = [facts for facts in planned if "file" not in facts]
    return sorted(new, key=lambda facts: facts["stop"] <= newest)


def entry_of(ring, segments):
    """Returns what the manifest says of a ring."""
    dtype = manifest.dtype_name(ring.dtype)
    return {"dtype": dtype, "shape": list(ring.shape), "segments": segments}
