"""A thread that ends the process when its environments hang.

A call that blocks in C, such as to an emulator whose worker has died, never returns,
and the main thread runs no Python signal handler meanwhile. Only another thread can
notice. It ends the process without saving, since an update may be half done; the
earlier checkpoints stay.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pathlib
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Protocol

from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_STOPPED

GRACE_SECONDS = 10.0  # for environments to return once a signal has asked to stop
_CLOSE = 0  # no signal has this number


class Watched(Protocol):
    """What can be watched: `keras_dqn.envs.VectorEnvs`."""

    call: object | None  # one that may block and is running


class Watchdog:
    """Watches environments, as a context manager.

    - After `timeout_seconds` in one `reset`, `recv` or `close` it writes the stacks
      of all threads to `path` and exits with 70.
    - After a signal that asks to stop, such a call has 10 s to return; then it
      exits with 75.
    - After two `SIGINT` the whole process has 10 s to end; then likewise.

    Time is counted in its own intervals of at most a second, so that a clock that
    jumps or a suspended process is not taken for a hang. A call that keeps Python's
    global interpreter lock while it blocks stops this thread, too, and goes
    unnoticed.

    Args:
        path: Path of the file for the stacks of all threads.
        timeout_seconds: Float above 0, or `None` for no limit.
    """

    def __init__(
        self, path: str | os.PathLike[str], timeout_seconds: float | None
    ) -> None:
        self._path = pathlib.Path(path)
        self._timeout = timeout_seconds
        self._interval = min(1.0, GRACE_SECONDS / 4, (timeout_seconds or 4.0) / 4)
        self._watched: list[Watched] = []
        self._calls: dict[Watched, object | None] = {}

    @contextlib.contextmanager
    def watching(self, envs: Watched) -> Iterator[Watched]:
        """Watches `envs`, a `VectorEnvs`, within the context."""
        self._watched.append(envs)
        try:
            yield envs
        finally:
            self._watched.remove(envs)

    def __enter__(self) -> Watchdog:
        # Sockets, since on Windows `select` cannot wait for pipes.
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            # Python writes each signal's number there, even while a call blocks.
            self._before = signal.set_wakeup_fd(
                self._writer.fileno(), warn_on_full_buffer=False
            )
        self._thread = threading.Thread(
            target=self._watch, name="keras_dqn watchdog", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_main:
            signal.set_wakeup_fd(self._before)
        self._writer.setblocking(True)
        self._writer.sendall(bytes([_CLOSE]))
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _watch(self):
        """Counts the seconds that a call has been stuck, until `__exit__`."""
        received = []  # signal numbers
        stuck_seconds = stop_seconds = interrupt_seconds = 0.0
        while _CLOSE not in received:
            if select.select([self._reader], [], [], self._interval)[0]:
                received += self._reader.recv(1024)
                continue
            stuck = self._stuck()
            stuck_seconds = stuck_seconds + self._interval if stuck else 0.0
            if stuck and not set(received).isdisjoint(signals.STOP):
                stop_seconds += self._interval
            else:
                stop_seconds = 0.0
            if received.count(signal.SIGINT) > 1:
                interrupt_seconds += self._interval
            who = repr(stuck) if stuck else "The process"
            if self._timeout is not None and stuck_seconds >= self._timeout:
                seconds = f"{self._timeout:g} seconds (`env_timeout_seconds`)"
                self._leave(EXIT_BROKEN, f"{who} has not answered for {seconds}")
            if max(stop_seconds, interrupt_seconds) >= GRACE_SECONDS:
                seconds = f"{GRACE_SECONDS:g} seconds since it was asked to stop"
                self._leave(EXIT_STOPPED, f"{who} has not answered for {seconds}")

    def _stuck(self) -> Watched | None:
        """Returns environments that are in the same call as an interval ago."""
        before, self._calls = self._calls, {e: e.call for e in self._watched.copy()}
        for envs, call in self._calls.items():
            if call is not None and call is before.get(envs):
                return envs
        return None

    def _leave(self, code, reason):
        """Writes the stacks and the reason, and ends the process."""
        where = "could not be written"
        with contextlib.suppress(OSError), open(self._path, "w") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            where = f"are in {self._path}"
        _show_cursor()
        with contextlib.suppress(OSError):
            message = (
                f"{reason}. The stacks of all threads {where}. "
                "Nothing was saved; the earlier checkpoints stay.\n"
            )
            os.write(2, message.encode())
        os._exit(code)


def _show_cursor():
    """Shows the terminal's cursor, which the live panel hides."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.__stdout__.isatty():
            os.write(sys.__stdout__.fileno(), b"\x1b[?25h\n")
