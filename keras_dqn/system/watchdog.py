"""A thread that ends the process when its environments hang.

A call that blocks in C, for example to an emulator whose worker has died, may never
return, and meanwhile the main thread runs no Python signal handlers. Only another
thread can notice this. It ends the process without saving, since an update may be
incomplete. Earlier checkpoints are kept.
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

GRACE_SECONDS = 10.0  # for a call to return after a signal has requested a stop
_CLOSE = 0  # no signal has this number


class Watched(Protocol):
    """The interface of watched objects, such as `keras_dqn.envs.VectorEnvs`."""

    call: object | None  # identifies the blocking call in progress, if any


class Watchdog:
    """Watches environments, as a context manager.

    It writes the stacks of all threads to `path` and ends the process

    - with exit code 70, if one `reset`, `recv` or `close` takes `timeout_seconds`;
    - with exit code 75, if such a call takes 10 s after a signal requested a stop;
    - with exit code 75, if the process has not ended 10 s after the second `SIGINT`.

    Time is measured by counting waits of at most a second. So a clock that jumps, or
    a suspended process, is not taken for a hang. A blocking call that holds Python's
    global interpreter lock blocks this thread, too, and is not detected.

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
        # Sockets, since `select` does not support pipes on Windows.
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            # Python writes signal numbers here, even during a blocking call.
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
        """The thread: counts the seconds that a call has been stuck."""
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
                self._exit_process(EXIT_BROKEN, f"{who} has not answered for {seconds}")
            if max(stop_seconds, interrupt_seconds) >= GRACE_SECONDS:
                seconds = f"{GRACE_SECONDS:g} seconds since it was asked to stop"
                self._exit_process(
                    EXIT_STOPPED, f"{who} has not answered for {seconds}"
                )

    def _stuck(self) -> Watched | None:
        """Returns environments that are still in the call of the last check, if any."""
        before, self._calls = self._calls, {e: e.call for e in self._watched.copy()}
        for envs, call in self._calls.items():
            if call is not None and call is before.get(envs):
                return envs
        return None

    def _exit_process(self, code, reason):
        """Writes stacks and reason, and ends the process."""
        where = "could not be written"
        with contextlib.suppress(OSError), open(self._path, "w") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            where = f"are in {self._path}"
        _show_cursor()
        with contextlib.suppress(OSError):
            message = (
                f"{reason}. The stacks of all threads {where}. "
                "Nothing was saved. Earlier checkpoints are kept.\n"
            )
            os.write(2, message.encode())
        os._exit(code)


def _show_cursor():
    """Shows the terminal's cursor, which the live panel hides."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.__stdout__.isatty():
            os.write(sys.__stdout__.fileno(), b"\x1b[?25h\n")
