"""A directory of checkpoints: saves, loads, and deletes old ones."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Callable
from collections.abc import Container
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_dqn.checkpoint import manifest
from keras_dqn.checkpoint.reading import Checkpoint
from keras_dqn.checkpoint.reading import Loaded
from keras_dqn.checkpoint.ring import Ring
from keras_dqn.checkpoint.saving import CheckpointError
from keras_dqn.checkpoint.saving import Saving
from keras_dqn.checkpoint.scrub import Scrubber
from keras_dqn.system import files

KEEP = 2  # the number of newest valid checkpoints that are never deleted
_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"checkpoint-([0-9]{12,18})(?:\.([0-9]{1,6}))?")
_UNFINISHED = ".unfinished-"
_REMOVED = ".removed-"


class Store:
    """The checkpoints in a directory. No other process may write to it.

    Use one object for all saves: it knows which segments of a ring are on the disk.

    Args:
        directory: Path. It is created when the first checkpoint is written.
        keep: Function of a checkpoint's `meta`, or `None`. The newest valid
            checkpoint for which it returns true is kept too, beside the `KEEP` newest.

    Attributes:
        directory: `pathlib.Path`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        keep: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.directory = pathlib.Path(directory)
        self._keep = keep
        self._segments = self.directory / "segments"
        # (part, ring) to the entries of the segments on the disk.
        self._saved: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._bad: set[str] = set()  # names of unreadable checkpoints
        self._skipped: set[str] = set()  # names, newer than the loaded one
        self._last_segment = 0
        self._scrubber = Scrubber()

    def save(
        self,
        env_steps: int,
        parts: Mapping[str, Mapping[str, Any]],
        meta: Mapping[str, Any],
    ) -> pathlib.Path:
        """Writes a checkpoint and waits for it. See `begin`.

        Returns:
            `pathlib.Path` of the checkpoint.

        Raises:
            CheckpointError: If it could not be written.
        """
        return self.begin(env_steps, parts, meta).result()

    def begin(
        self,
        env_steps: int,
        parts: Mapping[str, Mapping[str, Any]],
        meta: Mapping[str, Any],
    ) -> Saving:
        """Begins to write a checkpoint in a thread.

        Args:
            env_steps: Integer, agent steps so far.
            parts: Dictionary: part to name to NumPy array, which must not change any
                more, or to `Ring`.
            meta: Dictionary of JSON types.

        Returns:
            `Saving`. It must be over before the next one begins.

        Raises:
            ValueError: If an array has an unsupported dtype, or `meta` is not of JSON
                types.
        """
        arrays: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
        rings: dict[str, dict[str, Ring]] = {part: {} for part in parts}
        for part, named in parts.items():
            for name, value in named.items():
                manifest.dtype_name(value.dtype)
                if isinstance(value, Ring):
                    rings[part][name] = value
                else:
                    arrays[part][name] = np.asarray(value, order="C")
        data = files.json_bytes(meta)
        saved = {
            ring: [entry for entry in segments if self._is_on_disk(entry)]
            for ring, segments in self._saved.items()
        }
        return Saving(self, env_steps, arrays, rings, data, saved)

    def load(
        self,
        is_wanted: Callable[[dict[str, Any]], object] | None = None,
        limits: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Loaded | None:
        """Reads the newest valid checkpoint. Changes no file.

        Args:
            is_wanted: Function of a checkpoint's `meta`, or `None`. Checkpoints for
                which it returns false are skipped. Skipped checkpoints newer than
                the loaded one are deleted after the next save.
            limits: Optional dictionary: part to name to `(dtype, shape)`. A
                checkpoint with another array, another dtype, or an array that is
                longer in any dimension is skipped before memory is allocated for it.

        Returns:
            `Loaded`, or `None` if there is no checkpoint at all.

        Raises:
            CheckpointError: If there are checkpoints, but none is valid, or if the
                newest was written by a newer version of the library.
        """
        notes: list[str] = []
        skipped: set[str] = set()
        for found in self._newest_first():
            name = found.path.name
            try:
                body = found.check(limits)
                meta = found.meta()
                if is_wanted is not None and not is_wanted(meta):
                    notes.append(f"Skipped {name}: it is not of the requested kind")
                    skipped.add(name)
                    continue
                parts = found.read(body, self._saved)
            except manifest.NewerFormat as error:
                raise CheckpointError(f"{found.path}: {error}") from None
            except (OSError, ValueError, MemoryError) as error:
                notes.append(f"Skipped {name}: {error}")
                self._bad.add(name)
                continue
            self._skipped = skipped
            return Loaded(found.path, parts, meta, notes + found.unknown_files(body))
        if notes:
            raise CheckpointError(
                f"No checkpoint in {self.directory} could be read:\n  "
                + "\n  ".join(notes)
            )
        return None

    def clean(self) -> list[str]:
        """Deletes the files of incomplete saves, and returns their names."""
        removed = []
        with contextlib.suppress(OSError):
            for path in sorted(self.directory.glob(".*")):
                if path.name.startswith((_UNFINISHED, _REMOVED)):
                    shutil.rmtree(path)
                    removed.append(path.name)
            used = self._used_segments()
            for path in sorted(self._segments.glob("*.bin")):
                if path.name not in used:
                    path.unlink()
                    removed.append(f"segments/{path.name}")
        return removed

    # `Saving` calls these methods in its thread.

    def new_segment(self) -> pathlib.Path:
        """Returns an unused path for a segment."""
        files.make_directory(self._segments)
        stems = [path.stem for path in self._segments.glob("*.bin")]
        numbers = [int(stem) for stem in stems if stem.isdecimal()]
        self._last_segment = max([self._last_segment, *numbers]) + 1
        return self._segments / f"{self._last_segment:06d}.bin"

    def publish(
        self,
        env_steps: int,
        fill: Callable[[pathlib.Path], object],
        segments: dict[tuple[str, str], list[dict[str, Any]]],
        is_stopped: Callable[[], bool],
    ) -> tuple[pathlib.Path, list[str]]:
        """Writes a checkpoint's directory and renames it, then deletes old checkpoints.

        Before the deletion, some shared segments are verified, see `Scrubber`.

        Args:
            env_steps: Integer.
            fill: Function that writes the files into a directory.
            segments: `Saving.segments`, all written.
            is_stopped: Function without arguments. Once it returns true, no further
                segment is verified.

        Returns:
            `(path, notes)`: the path of the checkpoint, and messages for the user.
        """
        files.make_directory(self.directory)
        if self._segments.is_dir():
            files.flush_directory(self._segments)
        final = self._free_name(env_steps)
        unfinished = final.with_name(_UNFINISHED + final.name)
        os.mkdir(unfinished)
        fill(unfinished)
        files.flush_directory(unfinished)
        os.rename(unfinished, final)  # atomic: from here on the checkpoint exists
        files.flush_directory(self.directory)  # and survives a power cut
        self._saved = segments
        notes = self._scrub(is_stopped)
        try:
            self._delete_old(final)
        except OSError as error:  # but the new checkpoint is complete
            _LOG.warning("Could not delete an old checkpoint: %s", error)
        return final, notes

    def _scrub(self, is_stopped):
        """Verifies some segments. The next save writes damaged ones again."""
        shared = [entry for segments in self._saved.values() for entry in segments]
        reasons = self._scrubber.damaged(self._segments, shared, is_stopped)
        if not reasons:
            return []
        self._saved = {
            ring: [entry for entry in segments if entry["file"] not in reasons]
            for ring, segments in self._saved.items()
        }
        lost = {c.path.name for c in self._newest_first() if self._uses(c, reasons)}
        self._bad |= lost
        return [
            f"Damaged on the disk: {reason}. {', '.join(sorted(lost))} cannot be "
            "read. The next checkpoint writes this file again"
            for reason in reasons.values()
        ]

    def _uses(self, found: Checkpoint, names: Container[str]) -> bool:
        """Whether a checkpoint uses one of these segment files."""
        with contextlib.suppress(OSError, ValueError, manifest.NewerFormat):
            entries = manifest.segments_of(found.body())
            return any(entry["file"] in names for entry in entries)
        return False

    def _free_name(self, env_steps):
        """Returns an unused path. No checkpoint is replaced, valid or not."""
        name, number = f"checkpoint-{env_steps:012d}", 0
        while os.path.lexists(self.directory / name):
            number += 1
            name = f"checkpoint-{env_steps:012d}.{number}"
        return self.directory / name

    def _delete_old(self, final):
        """Deletes all but `final`, the newest valid ones, and the newest of `keep`."""
        if final.name in self._bad:  # it must not replace a valid one
            return
        valid = 1
        has_kept = self._is_to_keep(Checkpoint(final, self._segments))
        for found in self._newest_first():
            path = found.path
            if path == final:
                continue
            is_valid = path.name not in self._bad and found.has_all_files()
            is_kept = is_valid and not has_kept and self._is_to_keep(found)
            has_kept = has_kept or is_kept
            if path.name not in self._skipped and (valid < KEEP or is_kept):
                valid += is_valid
                continue
            removed = path.with_name(_REMOVED + path.name)
            os.rename(path, removed)  # half-deleted, it must not look valid
            shutil.rmtree(removed)
        self._skipped.clear()

    def _is_to_keep(self, found):
        if self._keep is None:
            return False
        try:
            return bool(self._keep(found.meta()))
        except (OSError, ValueError):
            return False

    def _is_on_disk(self, entry):
        """Whether a segment's file exists with the right size."""
        try:
            files.check_size(self._segments / entry["file"], entry["bytes"])
        except (OSError, ValueError):
            return False
        return True

    def _used_segments(self):
        """Returns the names of all segment files that checkpoints use."""
        used = set()
        for found in self._newest_first():
            # Other `OSError`s are raised: the checkpoint may be readable later.
            with contextlib.suppress(
                FileNotFoundError, ValueError, manifest.NewerFormat
            ):
                entries = manifest.segments_of(found.body())
                used |= {entry["file"] for entry in entries}
        return used

    def _newest_first(self) -> list[Checkpoint]:
        """Returns the checkpoints, ordered by agent steps and then by number."""
        found = []
        names = os.listdir(self.directory) if os.path.lexists(self.directory) else []
        for name in names:
            if match := _NAME.fullmatch(name):
                path = self.directory / name
                found.append((int(match[1]), int(match[2] or 0), path))
        return [Checkpoint(each[2], self._segments) for each in sorted(found)[::-1]]
