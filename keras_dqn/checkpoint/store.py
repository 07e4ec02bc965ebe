"""A directory of checkpoints: saves, loads, and keeps two that are good."""

import contextlib
import functools
import logging
import os
import pathlib
import re
import shutil
import stat
from typing import NamedTuple

import numpy as np

from keras_dqn.checkpoint import manifest
from keras_dqn.checkpoint.proofreading import Proofreader
from keras_dqn.checkpoint.ring import Ring
from keras_dqn.checkpoint.ring import SavedRing
from keras_dqn.checkpoint.saving import CheckpointError
from keras_dqn.checkpoint.saving import Saving
from keras_dqn.system import files
from keras_dqn.system import memory

KEEP = 2  # good checkpoints that stay
_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"checkpoint-([0-9]{12,18})(?:\.([0-9]{1,6}))?")
_UNFINISHED = ".unfinished-"
_REMOVED = ".removed-"


class Loaded(NamedTuple):
    """What `Store.load` returns.

    Attributes:
        path: `pathlib.Path` of the checkpoint.
        parts: Dictionary: part to name to NumPy array or `SavedRing`.
        meta: Dictionary.
        notes: List of strings, what a person should know: which newer checkpoints
            were passed over and why, and which files do not belong there.
    """

    path: pathlib.Path
    parts: dict
    meta: dict
    notes: list


class Store:
    """Checkpoints in a directory, which nobody else writes to.

    Whoever saves more than once should keep the object: it knows which segments of
    a ring are on the disk already.

    Args:
        directory: Path. It is made when the first checkpoint is written.
        is_precious: Function of a checkpoint's `meta`, or `None`. The newest good
            checkpoint for which it is true stays, beyond the two newest.

    Attributes:
        directory: `pathlib.Path`.
    """

    def __init__(self, directory, is_precious=None):
        self.directory = pathlib.Path(directory)
        self._is_precious = is_precious
        self._segments = self.directory / "segments"
        self._known = {}  # what the rings' segments on the disk hold, as they are now
        self._bad = set()  # names of checkpoints that could not be read
        self._abandoned = set()  # newer than the one which the run went back to
        self._last_segment = 0
        self._proofreader = Proofreader()

    def save(self, env_steps, parts, meta):
        """Writes a checkpoint and waits for it. See `begin`.

        Returns:
            `pathlib.Path` of the checkpoint.

        Raises:
            CheckpointError: If the disk refuses, with the bytes it needs and has.
        """
        return self.begin(env_steps, parts, meta).result()

    def begin(self, env_steps, parts, meta):
        """Begins to write a checkpoint, of what is there now.

        Args:
            env_steps: Integer, agent steps taken.
            parts: Dictionary: part to name to NumPy array, none of which may change
                any more, or to `Ring`.
            meta: Dictionary that JSON can hold.

        Returns:
            `Saving`. It must be over before the next one begins.

        Raises:
            ValueError: If something in `parts` or `meta` cannot be saved.
        """
        arrays = {part: {} for part in parts}
        rings = {part: {} for part in parts}
        for part, named in parts.items():
            for name, value in named.items():
                manifest.dtype_name(value.dtype)
                if isinstance(value, Ring):
                    rings[part][name] = value
                else:
                    arrays[part][name] = np.asarray(value, order="C")
        meta = files.json_bytes(meta)
        known = {
            ring: [facts for facts in segments if self._is_there(facts)]
            for ring, segments in self._known.items()
        }
        return Saving(self, env_steps, arrays, rings, meta, known)

    def load(self, is_wanted=None, limits=None):
        """Reads the newest checkpoint that is whole. Changes no file.

        Args:
            is_wanted: Function of a checkpoint's `meta`, or `None`. Checkpoints for
                which it is false are passed over, and removed once the run has
                saved one that it went on to from here.
            limits: Optional dictionary: part to name to `(dtype, shape)`. An array
                that is not in it, is of another dtype or longer in a dimension is
                refused before memory is taken for it.

        Returns:
            `Loaded`, or `None` if there is no checkpoint at all.

        Raises:
            CheckpointError: If there are checkpoints, and not one is whole, or if a
                newer version of the library wrote the newest.
        """
        notes, abandoned = [], set()
        for path in self._newest_first():
            try:
                body, meta = self._opened(path, limits)
                if is_wanted is not None and not is_wanted(meta):
                    notes.append(f"Passed over {path.name}: it is not asked for")
                    abandoned.add(path.name)
                    continue
                parts = self._read(path, body)
            except manifest.NewerFormat as error:
                raise CheckpointError(f"{path}: {error}") from None
            except (OSError, ValueError, MemoryError) as error:
                notes.append(f"Passed over {path.name}: {error}")
                self._bad.add(path.name)
                continue
            self._abandoned = abandoned
            return Loaded(path, parts, meta, notes + _strangers(path, body))
        if notes:
            raise CheckpointError(
                f"No checkpoint in {self.directory} could be read:\n  "
                + "\n  ".join(notes)
            )
        return None

    def is_empty(self):
        """Whether there is no checkpoint at all, good or not."""
        return not self._newest_first()

    def clean(self):
        """Removes what a save that was broken off has left. Returns the names."""
        removed = []
        with contextlib.suppress(OSError):
            for path in sorted(self.directory.glob(".*")):
                if path.name.startswith((_UNFINISHED, _REMOVED)):
                    shutil.rmtree(path)
                    removed.append(path.name)
            named = self._named_segments()
            for path in sorted(self._segments.glob("*.bin")):
                if path.name not in named:
                    path.unlink()
                    removed.append(f"segments/{path.name}")
        return removed

    # What a `Saving` asks of its store.

    def new_segment(self):
        """Returns a path that no segment has had."""
        files.make_directory(self._segments)
        stems = [path.stem for path in self._segments.glob("*.bin")]
        numbers = [int(stem) for stem in stems if stem.isdecimal()]
        self._last_segment = max([self._last_segment, *numbers]) + 1
        return self._segments / f"{self._last_segment:06d}.bin"

    def publish(self, env_steps, fill, segments, is_stopped):
        """Gives a checkpoint its name once it is whole, then removes the oldest.

        In between some segments are read again, see `Proofreader`.

        Args:
            env_steps: Integer.
            fill: Function that writes the files into a directory.
            segments: See `Saving`. Their files are on the disk.
            is_stopped: Function without arguments; once it is true, nothing more is
                read.

        Returns:
            `(path, notes)`: `pathlib.Path` of the checkpoint, and a list of strings,
            what a person should know.
        """
        files.make_directory(self.directory)
        if self._segments.is_dir():
            files.flush_directory(self._segments)
        final = self._free_name(env_steps)
        staging = final.with_name(_UNFINISHED + final.name)
        os.mkdir(staging)
        fill(staging)
        files.flush_directory(staging)
        os.rename(staging, final)
        files.flush_directory(self.directory)
        self._known = segments
        notes = self._proofread(is_stopped)
        try:
            self._prune(final)
        except OSError as error:  # the checkpoint is whole, and that is what counts
            _LOG.warning("Could not remove an old checkpoint: %s", error)
        return final, notes

    def _proofread(self, is_stopped):
        """Reads some segments again; the next save writes anew what is damaged."""
        shared = [facts for segments in self._known.values() for facts in segments]
        reasons = self._proofreader.damaged(self._segments, shared, is_stopped)
        if not reasons:
            return []
        self._known = {
            ring: [facts for facts in segments if facts["file"] not in reasons]
            for ring, segments in self._known.items()
        }
        lost = {path for path in self._newest_first() if self._names(path, reasons)}
        self._bad |= {path.name for path in lost}
        names = ", ".join(sorted(path.name for path in lost))
        return [
            f"Damaged on the disk: {reason}. {names} cannot be read; the next "
            "checkpoint writes it anew"
            for reason in reasons.values()
        ]

    def _names(self, path, files):
        """Whether a checkpoint names one of these segment files."""
        with contextlib.suppress(OSError, ValueError, manifest.NewerFormat):
            return any(
                facts["file"] in files for facts in manifest.segments_of(_body(path))
            )
        return False

    def _free_name(self, env_steps):
        """A new name: what is there is never replaced, damaged or not."""
        name, number = f"checkpoint-{env_steps:012d}", 0
        while os.path.lexists(self.directory / name):
            number += 1
            name = f"checkpoint-{env_steps:012d}.{number}"
        return self.directory / name

    def _prune(self, final):
        """Removes what is neither `final`, nor good and new, nor precious."""
        if final.name in self._bad:  # it replaces none
            return
        good = 1
        has_precious = self._find_precious(final)
        for path in self._newest_first():
            if path == final:
                continue
            is_good = path.name not in self._bad and self._has_all_files(path)
            is_precious = is_good and not has_precious and self._find_precious(path)
            has_precious = has_precious or is_precious
            if path.name not in self._abandoned and (good < KEEP or is_precious):
                good += is_good
                continue
            removed = path.with_name(_REMOVED + path.name)
            os.rename(path, removed)  # so that no half one has such a name
            shutil.rmtree(removed)
        self._abandoned.clear()

    def _find_precious(self, path):
        if self._is_precious is None:
            return False
        try:
            return bool(self._is_precious(files.read_json(path / "meta.json")))
        except (OSError, ValueError):
            return False

    def _is_there(self, facts):
        """Whether a segment's file is as long as it was."""
        try:
            files.check_size(self._segments / facts["file"], facts["bytes"])
        except (OSError, ValueError):
            return False
        return True

    def _has_all_files(self, path):
        try:
            for file, facts in self._files(path, _body(path)):
                files.check_size(file, facts["bytes"])
        except (OSError, ValueError, manifest.NewerFormat):
            return False
        return True

    def _named_segments(self):
        named = set()
        for path in self._newest_first():
            # One that cannot be read now may be read later: let the error through.
            with contextlib.suppress(
                FileNotFoundError, ValueError, manifest.NewerFormat
            ):
                named |= {facts["file"] for facts in manifest.segments_of(_body(path))}
        return named

    def _newest_first(self):
        """The checkpoints by their names: by agent steps, then by number."""
        found = []
        names = os.listdir(self.directory) if os.path.lexists(self.directory) else []
        for name in names:
            if match := _NAME.fullmatch(name):
                path = self.directory / name
                found.append((int(match[1]), int(match[2] or 0), path))
        return [path for *_, path in sorted(found, reverse=True)]

    def _opened(self, path, limits):
        """Returns `(body, meta)` of a checkpoint, or raises with the reason."""
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise ValueError("it is not a directory")
        body = _body(path)
        if limits is not None:
            manifest.check_limits(body, limits)
        for file, facts in self._files(path, body):
            files.check_size(file, facts["bytes"])
        files.check_digest(path / "meta.json", body["meta"])
        meta = files.read_json(path / "meta.json")
        if not isinstance(meta, dict):
            raise ValueError("meta.json must hold an object")
        return body, meta

    def _read(self, path, body):
        """Returns the parts of a checkpoint, or raises with the reason."""
        for file, facts in self._files(path, body):
            files.check_digest(file, facts)
        nbytes = sum(part["bytes"] for part in body["parts"].values())
        memory.check_fits(nbytes, "The checkpoint")
        return {name: self._read_part(path, name, body) for name in body["parts"]}

    def _read_part(self, path, part, body):
        facts = body["parts"][part]
        arrays = {
            name: np.empty(shape, dtype)
            for name, (dtype, shape) in manifest.arrays_of(facts).items()
        }
        files.read_into(path / f"{part}.bin", list(arrays.values()))
        for name, array in arrays.items():
            if array.dtype == np.bool_ and array.view("u1").max(initial=0) > 1:
                raise ValueError(f"`{name}` of {part} holds what is no boolean")
        for name, ring in facts["rings"].items():
            when_read = functools.partial(self._known.__setitem__, (part, name))
            arrays[name] = SavedRing(self._segments, ring, when_read)
        return arrays

    def _files(self, path, body):
        """Yields all files of a checkpoint with their facts, the small ones first."""
        yield path / "meta.json", body["meta"]
        for name, part in body["parts"].items():
            yield path / f"{name}.bin", part
        if any(True for _ in manifest.segments_of(body)):
            if self._segments.is_symlink():
                raise ValueError("segments is a link")
        for facts in manifest.segments_of(body):
            yield self._segments / facts["file"], facts


def _body(path):
    return manifest.opened(files.read_json(path / "manifest.json"))


def _strangers(path, body):
    """Says which files are in the checkpoint's directory and not in its manifest."""
    own = {"manifest.json", "meta.json", *(f"{name}.bin" for name in body["parts"])}
    others = sorted(found.name for found in path.iterdir() if found.name not in own)
    return [f"Ignored {path.name}/{name}, which is no part of it" for name in others]
