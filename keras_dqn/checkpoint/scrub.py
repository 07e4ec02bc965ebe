"""Verifies segments that were written earlier and that new checkpoints share.

A segment that does not change is written once and used by many checkpoints. If it is
damaged on the disk, none of them can be read. So every save verifies some of the shared
segments, and the next save writes damaged ones again.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_dqn.system import files

NBYTES_PER_SAVE = 2**30


class Scrubber:
    """Verifies segments in the order of their names, over and over."""

    def __init__(self) -> None:
        self._last = ""  # the file that was verified last

    def damaged(
        self,
        directory: Path,
        segments: Iterable[dict[str, Any]],
        is_stopped: Callable[[], bool],
    ) -> dict[str, str]:
        """Verifies the next `NBYTES_PER_SAVE` bytes, but at least one segment.

        Args:
            directory: `pathlib.Path` of the segments.
            segments: Their entries, see `manifest`.
            is_stopped: Function without arguments. Once it returns true, no further
                segment is read.

        Returns:
            Dictionary: name of each damaged file to a message.
        """
        reasons, nbytes = {}, 0
        in_turn = sorted(segments, key=lambda e: (e["file"] <= self._last, e["file"]))
        for entry in in_turn:
            if nbytes >= NBYTES_PER_SAVE or is_stopped():
                break
            nbytes += entry["bytes"]
            self._last = entry["file"]
            try:
                files.check_digest(directory / entry["file"], entry)
            except (OSError, ValueError) as error:
                reasons[entry["file"]] = str(error)
        return reasons
