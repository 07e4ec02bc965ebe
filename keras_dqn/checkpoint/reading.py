"""Reads one checkpoint. Everything is checked before memory is allocated."""

from __future__ import annotations

import functools
import os
import pathlib
import stat
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_dqn.checkpoint import manifest
from keras_dqn.checkpoint.ring import SavedRing
from keras_dqn.system import files
from keras_dqn.system import memory


class Loaded(NamedTuple):
    """A checkpoint that was loaded.

    Attributes:
        path: `pathlib.Path` of the checkpoint.
        parts: Dictionary: part to name to NumPy array or `SavedRing`.
        meta: Dictionary, as it was saved.
        notes: List of messages for the user: which newer checkpoints were skipped and
            why, and which files do not belong to the checkpoint.
    """

    path: pathlib.Path
    parts: dict[str, dict[str, Any]]
    meta: dict[str, Any]
    notes: list[str]


class Checkpoint:
    """One checkpoint on the disk.

    Args:
        path: `pathlib.Path` of the checkpoint.
        segments: `pathlib.Path` of the directory with all segments.
    """

    def __init__(self, path: pathlib.Path, segments: pathlib.Path) -> None:
        self.path = path
        self._segments = segments

    def body(self) -> dict[str, Any]:
        """Returns the body of the manifest. See `manifest.checked_body`."""
        return manifest.checked_body(files.read_json(self.path / "manifest.json"))

    def meta(self) -> dict[str, Any]:
        """Returns the dictionary in `meta.json`.

        Raises:
            ValueError, OSError: If it cannot be read or is not a JSON object.
        """
        meta = files.read_json(self.path / "meta.json")
        if not isinstance(meta, dict):
            raise ValueError("meta.json must be a JSON object")
        return meta

    def check(
        self, limits: Mapping[str, Mapping[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Checks the manifest, the sizes of all files, and `meta.json`.

        Args:
            limits: See `Store.load`.

        Returns:
            The body of the manifest.

        Raises:
            ValueError, OSError: If the checkpoint is not valid, with the reason.
            NewerFormat: If a newer version of the library wrote it.
        """
        if not stat.S_ISDIR(os.lstat(self.path).st_mode):
            raise ValueError("it is not a directory")
        body = self.body()
        if limits is not None:
            manifest.check_limits(body, limits)
        for file, entry in self._files(body):
            files.check_size(file, entry["bytes"])
        files.check_digest(self.path / "meta.json", body["meta"])
        return body

    def has_all_files(self) -> bool:
        """Whether all files of the manifest exist and have the right size."""
        try:
            for file, entry in self._files(self.body()):
                files.check_size(file, entry["bytes"])
        except (OSError, ValueError, manifest.NewerFormat):
            return False
        return True

    def read(
        self,
        body: dict[str, Any],
        saved: dict[tuple[str, str], list[dict[str, Any]]],
    ) -> dict[str, dict[str, Any]]:
        """Checks the digests of all files, and returns the parts.

        Args:
            body: The result of `check`.
            saved: Dictionary that is updated when a ring is read: `(part, ring)` to
                the entries of its segments.

        Raises:
            ValueError, OSError: If a file is damaged.
            MemoryError: If there is not enough memory for the arrays.
        """
        for file, entry in self._files(body):
            files.check_digest(file, entry)
        nbytes = sum(part["bytes"] for part in body["parts"].values())
        memory.check_fits(nbytes, "The checkpoint")
        return {name: self._read_part(name, body, saved) for name in body["parts"]}

    def unknown_files(self, body: dict[str, Any]) -> list[str]:
        """Returns a message for each file that is not in the manifest."""
        own = {"manifest.json", "meta.json", *(f"{name}.bin" for name in body["parts"])}
        others = sorted(each.name for each in self.path.iterdir())
        return [
            f"Ignored {self.path.name}/{name}: it is not in the manifest"
            for name in others
            if name not in own
        ]

    def _read_part(self, part, body, saved):
        entry = body["parts"][part]
        arrays = {
            name: np.empty(shape, dtype)
            for name, (dtype, shape) in manifest.arrays_of(entry).items()
        }
        files.read_into(self.path / f"{part}.bin", list(arrays.values()))
        for name, array in arrays.items():
            if array.dtype == np.bool_ and array.view("u1").max(initial=0) > 1:
                raise ValueError(f"`{name}` of {part} has values other than 0 and 1")
        for name, ring in entry["rings"].items():
            when_read = functools.partial(saved.__setitem__, (part, name))
            arrays[name] = SavedRing(self._segments, ring, when_read)
        return arrays

    def _files(self, body: dict[str, Any]) -> Iterator[tuple[pathlib.Path, Any]]:
        """Yields `(path, entry)` of every file in the manifest, segments last."""
        yield self.path / "meta.json", body["meta"]
        for name, part in body["parts"].items():
            yield self.path / f"{name}.bin", part
        segments = list(manifest.segments_of(body))
        if segments and self._segments.is_symlink():
            raise ValueError("segments must be a directory, not a link")
        for entry in segments:
            yield self._segments / entry["file"], entry
