"""A lock, so that only one process trains in a run directory."""

from __future__ import annotations

import json
import os
import pathlib
import socket

import filelock

from keras_dqn.system import files


class RunLock:
    """A lock on a run directory, as a context manager.

    `filelock` locks the file `LOCK`. The operating system releases the lock when the
    process ends, even if it is killed. `LOCK.json` names the process that holds the
    lock. It is a separate file since Windows does not allow reading a locked file.
    Both are deleted at the end.

    Args:
        directory: Path. It is created if it does not exist.

    Attributes:
        taken_over: String, the process that ended without releasing the lock before,
            or `None`.

    Raises:
        BlockingIOError: If another process holds the lock. The message names it.
        OSError: If the directory cannot be created or written to.
    """

    LOCK, HOLDER = NAMES = ("LOCK", "LOCK.json")

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = pathlib.Path(directory)
        self._path = self._directory / self.LOCK
        self._holder_path = self._directory / self.HOLDER
        self._made = files.make_directory(self._directory)
        self._lock = filelock.FileLock(self._path, thread_local=False)
        try:
            # On systems without file locks, the first attempt only detects that the
            # process holding the lock is dead. So poll.
            self._lock.acquire(timeout=0.2, poll_interval=0.05)
        except filelock.Timeout:
            holder = self._holder() or "another process"
            raise BlockingIOError(
                f"{self._directory} is in use by {holder}. Wait until it ends, or use "
                "another run directory"
            ) from None
        try:
            self.taken_over = self._holder()
            me = {"pid": os.getpid(), "host": socket.gethostname()}
            files.replace(self._holder_path, json.dumps(me).encode())
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Releases the lock and removes empty directories it created. Idempotent."""
        if not self._lock.is_locked:
            return
        try:
            self._holder_path.unlink(missing_ok=True)
            if isinstance(self._lock, filelock.UnixFileLock):
                # Before the release, so that no other process's lock is deleted. The
                # other kinds of locks delete their file themselves.
                self._path.unlink(missing_ok=True)
        except OSError:
            pass  # for example, the disk became read-only
        finally:
            self._lock.release()
        try:
            for path in reversed(self._made):
                path.rmdir()
        except OSError:
            pass  # the run left files there

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _holder(self) -> str | None:
        """Returns the process in `LOCK.json`, or `None` if there is no such file."""
        try:
            values = files.read_json(self._holder_path)
            return f"process {int(values['pid'])} on {str(values['host'])[:80]}"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return "an unknown process"
