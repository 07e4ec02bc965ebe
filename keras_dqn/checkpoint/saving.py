"""Saves one checkpoint: a thread writes it while training goes on.

`Store.publish` commits it.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn.checkpoint import manifest
from keras_dqn.checkpoint import ring as rings
from keras_dqn.system import files

if TYPE_CHECKING:
    from keras_dqn.checkpoint.store import Store


class CheckpointError(OSError):
    """A checkpoint could not be written, or no checkpoint could be read."""


class Stopped(Exception):
    """The save was stopped by `Saving.stop`."""


class Saving:
    """A checkpoint that a thread is writing.

    Arrays must not change while they are written. Rings may: training goes on, and
    before each step, `wait_until_written` waits until the columns that the step
    overwrites are on the disk. So all parts of the checkpoint are of the same step.

    Args:
        store: `Store`.
        env_steps: Integer, agent steps so far.
        arrays: Dictionary: part to name to NumPy array, C-contiguous.
        rings_: Dictionary: part to name to `Ring`.
        meta: Bytes, the contents of `meta.json`.
        saved: Dictionary: `(part, ring)` to the entries of segments on the disk.

    Attributes:
        nbytes: Integer, the number of bytes to write.
        segments: Dictionary: `(part, ring)` to the entries of all its segments, see
            `manifest`. Entries without `file` are not written yet.
        notes: List of messages for the user, complete once `is_over` is true.
    """

    def __init__(
        self,
        store: Store,
        env_steps: int,
        arrays: dict[str, dict[str, np.ndarray]],
        rings_: dict[str, dict[str, rings.Ring]],
        meta: bytes,
        saved: dict[tuple[str, str], list[dict[str, Any]]],
    ) -> None:
        self._store = store
        self._env_steps = env_steps
        self._arrays, self._rings, self._meta = arrays, rings_, meta
        self.segments: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._pending: list[tuple[rings.Ring, dict[str, Any]]] = []
        for part, named in rings_.items():
            for name, ring in named.items():
                entries = rings.plan(ring, saved.get((part, name), []))
                self.segments[part, name] = entries
                new = rings.in_write_order(ring, entries)
                self._pending += [(ring, entry) for entry in new]
        self.nbytes = len(meta) + sum(
            array.nbytes for named in arrays.values() for array in named.values()
        )
        self.nbytes += sum(ring.segment_bytes(entry) for ring, entry in self._pending)
        self.notes: list[str] = []
        self._path: Any = None
        self._error: Exception | None = None
        self._written_bytes, self._began = 0, time.monotonic()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(
            target=self._run, name="keras_dqn checkpoint", daemon=True
        )
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, with or without an error."""
        return not self._thread.is_alive()

    def wait_until_written(self, steps: int) -> None:
        """Waits until the columns that the next steps overwrite are on the disk.

        Args:
            steps: Integer, the number of steps since the step that is saved.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._overwrites_pending(steps))

    def result(self) -> Path:
        """Waits until the save is over, and returns the path of the checkpoint.

        Raises:
            CheckpointError: If the checkpoint could not be written.
            Exception: Any other error of the thread, such as `Stopped`.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._path

    def stop(self, seconds: float = 2.0) -> None:
        """Stops the save, and waits at most `seconds` for the thread to end."""
        self._is_stopped = True
        self._thread.join(seconds)

    def seconds_left(self) -> float | None:
        """Estimates the time left, in seconds; `None` before the first segment."""
        with self._changed:
            if not self._written_bytes:
                return None
            passed = time.monotonic() - self._began
            return passed * (self.nbytes / self._written_bytes - 1.0)

    def _run(self):
        try:
            self._check_space()
            self._write_segments()
            self._path, self.notes = self._store.publish(
                self._env_steps, self._fill, self.segments, lambda: self._is_stopped
            )
        except OSError as error:
            self._error = CheckpointError(self._explained(error))
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._pending.clear()
                self._changed.notify_all()
            self._store.clean()

    def _write_segments(self):
        for ring, entry in list(self._pending):
            path = self._store.new_segment()
            written = self._write(path, files.blocks_of(ring.columns_of(entry)))
            with self._changed:
                entry |= {"file": path.name, **written}
                self._written_bytes += entry["bytes"]
                self._pending.pop(0)
                self._changed.notify_all()

    def _fill(self, directory):
        """Writes the files of the checkpoint's directory, the manifest last."""
        body = {"env_steps": self._env_steps}
        body["meta"] = self._write(directory / "meta.json", [self._meta])
        body["parts"] = {
            part: self._write_part(directory, part) for part in self._arrays
        }
        sealed = files.json_bytes(manifest.seal(body))
        self._write(directory / "manifest.json", [sealed])

    def _write_part(self, directory, part):
        arrays = self._arrays[part]
        blocks = (block for each in arrays.values() for block in files.blocks_of(each))
        entry = self._write(directory / f"{part}.bin", blocks)
        entry["arrays"] = [
            [name, manifest.dtype_name(array.dtype), list(array.shape)]
            for name, array in arrays.items()
        ]
        entry["rings"] = {
            name: rings.entry_of(ring, self.segments[part, name])
            for name, ring in self._rings[part].items()
        }
        return entry

    def _write(self, path: Path, blocks: Iterable[Any]) -> dict[str, Any]:
        """Writes a new file. Raises `Stopped` if the save is stopped."""

        def until_stopped():
            for block in blocks:
                if self._is_stopped:
                    raise Stopped
                yield block

        return files.write_new(path, until_stopped())

    def _overwrites_pending(self, steps):
        return any(
            ring.overlaps(entry["start"], entry["stop"], steps)
            for ring, entry in self._pending
        )

    def _check_space(self):
        files.make_directory(self._store.directory)
        if self.nbytes > shutil.disk_usage(self._store.directory).free:
            raise OSError(errno.ENOSPC, "Not enough disk space for the checkpoint")

    def _explained(self, error):
        text = f"{error}. It needs {self.nbytes:,} bytes"
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._store.directory).free
            text += f"; {free:,} are free in {self._store.directory}"
        return text
