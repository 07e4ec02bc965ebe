"""The last frames of episodes, compressed.

After an environment restarts, the next frame in the ring is the first frame of the
next episode. The last frame of the old episode is stored here, until the transition
that led to it is overwritten.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn.replay import checks


class FinalFrames:
    """Last frames of episodes, by the slot of the last transition.

    Args:
        frame_shape: Tuple, the shape of one frame.
        dtype: The frames' dtype.
    """

    def __init__(self, frame_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._frame_shape = frame_shape
        self._dtype = np.dtype(dtype)
        self._compressed: dict[int, bytes] = {}
        self.nbytes = 0  # updated at each change: a sum would be slow

    def put(self, slot: int, frame: np.ndarray) -> None:
        """Stores the last frame of an episode."""
        compressed = zlib.compress(frame.tobytes(), level=1)
        self._compressed[slot] = compressed
        self.nbytes += len(compressed)

    def drop(self, slot: int) -> None:
        """Removes the frame of a slot that has one."""
        self.nbytes -= len(self._compressed.pop(slot))

    def get(self, slot: int) -> np.ndarray:
        """Returns the frame of a slot: a read-only array."""
        frame = zlib.decompress(self._compressed[slot])
        return np.frombuffer(frame, self._dtype).reshape(self._frame_shape)

    def slots(self) -> list[int]:
        """Returns the slots that have a frame, in ascending order."""
        return sorted(self._compressed)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns everything as arrays by name."""
        slots = self.slots()
        compressed = [self._compressed[slot] for slot in slots]
        return {
            "final_slots": np.array(slots, np.int64),
            "final_sizes": np.array([len(each) for each in compressed], np.int64),
            "final_bytes": np.frombuffer(b"".join(compressed), np.uint8),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores a state that `check_state` has checked."""
        stops = np.cumsum(state["final_sizes"])
        parts = np.split(np.asarray(state["final_bytes"]), stops[:-1])
        slots = state["final_slots"].tolist()
        self._compressed = {
            slot: part.tobytes() for slot, part in zip(slots, parts, strict=False)
        }
        self.nbytes = len(state["final_bytes"])

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raises `ValueError` unless each slot in `ended` has an intact frame."""
        ends = np.flatnonzero(state["ended"])
        checks.check_state_array(state, "final_slots", (len(ends),), np.int64)
        checks.check_state_array(state, "final_sizes", (len(ends),), np.int64)
        if not np.array_equal(state["final_slots"], ends):
            raise ValueError("`final_slots` must be the slots where `ended` is true.")
        sizes = state["final_sizes"]
        if np.any(sizes < 1) or np.any(sizes > 2**31):
            raise ValueError("`final_sizes` must be from 1 to 2**31 bytes.")
        total = int(sizes.sum())
        checks.check_state_array(state, "final_bytes", (total,), np.uint8)
        frame_nbytes = math.prod(self._frame_shape) * self._dtype.itemsize
        start = 0
        for slot, size in zip(ends.tolist(), sizes.tolist(), strict=True):
            part = np.asarray(state["final_bytes"][start : start + size]).tobytes()
            start += size
            if not _decompresses_to(part, frame_nbytes):
                raise ValueError(f"`final_bytes` of slot {slot} are damaged.")


def _decompresses_to(compressed, nbytes):
    """Whether `compressed` is one zlib stream of exactly `nbytes` bytes.

    At most one byte more is decompressed.
    """
    stream = zlib.decompressobj()
    try:
        frame = stream.decompress(compressed, nbytes + 1)
    except zlib.error:
        return False
    return len(frame) == nbytes and stream.eof and not stream.unused_data
