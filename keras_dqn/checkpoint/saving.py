"""One save: copied in a moment, written by a thread while training goes on."""

import contextlib
import errno
import shutil
import threading
import time

from keras_dqn.checkpoint import manifest
from keras_dqn.checkpoint import ring as rings
from keras_dqn.system import files


class CheckpointError(OSError):
    """A checkpoint could not be written, or none be read. The message says why."""


class Stopped(Exception):
    """The save was given up on purpose."""


class Saving:
    """A checkpoint that is being written.

    What is small was copied before this object exists. Of a ring, whose memory goes
    on changing, `make_way` keeps the trainer from what is not on the disk yet. So
    the checkpoint is of one moment, though it takes a while.

    Args:
        store: `Store`.
        env_steps: Integer.
        arrays: Dictionary: part to name to NumPy array, C-contiguous.
        rings_: Dictionary: part to name to `Ring`.
        meta: Bytes of JSON.
        known: Dictionary: `(part, ring)` to the facts of segments on the disk.

    Attributes:
        nbytes: Integer, bytes that it writes.
        segments: Dictionary: `(part, ring)` to the facts of all its segments; once
            it is over, as the manifest has them.
        notes: List of strings, what a person should know once it is over.
    """

    def __init__(self, store, env_steps, arrays, rings_, meta, known):
        self._store = store
        self._env_steps = env_steps
        self._arrays, self._rings, self._meta = arrays, rings_, meta
        self.segments, self._pending = {}, []
        for part, named in rings_.items():
            for name, ring in named.items():
                facts = rings.plan(ring, known.get((part, name), []))
                self.segments[part, name] = facts
                self._pending += [(ring, each) for each in rings.to_write(ring, facts)]
        self.nbytes = len(meta) + sum(
            array.nbytes for named in arrays.values() for array in named.values()
        )
        self.nbytes += sum(ring.segment_bytes(facts) for ring, facts in self._pending)
        self._path = self._error = None
        self.notes = []
        self._written_bytes, self._began = 0, time.monotonic()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(
            target=self._run, name="keras_dqn checkpoint", daemon=True
        )
        self._thread.start()

    @property
    def is_over(self):
        """Whether the thread has ended, well or not."""
        return not self._thread.is_alive()

    def make_way(self, steps):
        """Waits until the next `steps` steps may be written to the rings.

        Args:
            steps: Integer, counted from the moment that is saved.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_in_the_way(steps))

    def result(self):
        """Waits for the end. Returns the checkpoint's path.

        Raises:
            CheckpointError: If it could not be written, with what it needed.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._path

    def stop(self, seconds=2.0):
        """Gives the save up, and waits for a while until the thread has noticed."""
        self._is_stopped = True
        self._thread.join(seconds)

    def seconds_left(self):
        """Estimates how long it will go on, or `None` before the first segment."""
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
        for ring, facts in list(self._pending):
            path = self._store.new_segment()
            written = self._write(path, files.blocks_of(ring.columns_of(facts)))
            with self._changed:
                facts |= {"file": path.name, **written}
                self._written_bytes += facts["bytes"]
                self._pending.pop(0)
                self._changed.notify_all()

    def _fill(self, directory):
        """Writes the checkpoint's own files; the manifest comes last."""
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
        facts = self._write(directory / f"{part}.bin", blocks)
        facts["arrays"] = [
            [name, manifest.dtype_name(array.dtype), list(array.shape)]
            for name, array in arrays.items()
        ]
        facts["rings"] = {
            name: rings.entry_of(ring, self.segments[part, name])
            for name, ring in self._rings[part].items()
        }
        return facts

    def _write(self, path, blocks):
        """Writes a new file, unless the save is given up meanwhile."""

        def until_stopped():
            for block in blocks:
                if self._is_stopped:
                    raise Stopped
                yield block

        return files.write_new(path, until_stopped())

    def _is_in_the_way(self, steps):
        return any(
            ring.overlaps(facts["start"], facts["stop"], steps)
            for ring, facts in self._pending
        )

    def _check_space(self):
        files.make_directory(self._store.directory)
        if self.nbytes > shutil.disk_usage(self._store.directory).free:
            raise OSError(errno.ENOSPC, "There is no space for it")

    def _explained(self, error):
        text = f"{error}. It needs {self.nbytes:,} bytes"
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._store.directory).free
            text += f"; {free:,} are free in {self._store.directory}"
        return text
