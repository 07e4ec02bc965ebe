"""One trainer in a run directory."""

import fcntl
import json
import os
import pathlib
import socket

from keras_dqn.system import files

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RunLock:
    """Keeps every other trainer out of a directory, as a context manager.

    The system lets go of the lock when the process ends, however it ends. The file
    `LOCK` says who holds it, and is removed at the end where that is still possible.

    Args:
        directory: Path. It is made if there is none.

    Attributes:
        taken_over: String, who held the lock and did not live to remove the file,
            or `None`.

    Raises:
        BlockingIOError: If another process holds it. The message says which.
        OSError: If the directory cannot be made or written to.
    """

    NAME = "LOCK"

    def __init__(self, directory):
        self._directory = pathlib.Path(directory)
        self._path = self._directory / self.NAME
        self.taken_over = None
        self._made = files.make_directory(self._directory)
        self._descriptor = self._locked()
        self.taken_over = _holder(self._descriptor) or None
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(me).encode(), 0)

    @staticmethod
    def holder(directory):
        """Says which process trains in a directory, or "" if none; changes nothing."""
        try:
            descriptor = os.open(pathlib.Path(directory) / RunLock.NAME, _FLAGS)
        except OSError:
            return ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(descriptor) or "another process"
        finally:
            os.close(descriptor)
        return ""

    def release(self):
        """Lets go, and removes directories that were made for nothing. Idempotent."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            self._path.unlink(missing_ok=True)
            for path in reversed(self._made):
                path.rmdir()
        except OSError:
            pass  # something is in it; or a read-only disk, where the lock goes too
        finally:
            os.close(descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.release()

    def _locked(self):
        """Returns the descriptor of the lock file, locked."""
        while True:
            descriptor = os.open(self._path, _FLAGS | os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, self._path):
                    return descriptor
            except BlockingIOError:
                holder = _holder(descriptor) or "another process"
                os.close(descriptor)
                raise BlockingIOError(
                    f"{self._directory} is in use by {holder}. Two trainers in one "
                    "directory would overwrite each other's files"
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its holder removed it just now: once more


def _is_at(descriptor, path):
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _holder(descriptor):
    """Says who wrote the lock file; "" if nobody did."""
    text = os.pread(descriptor, 1000, 0)
    try:
        values = json.loads(text)
        return f"process {int(values['pid'])} on {str(values['host'])[:80]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "an unknown process" if text else ""
