"""A thread that ends the process when its environments no longer answer.

A call that blocks in C, such as to an emulator whose worker has died, never
returns, and while it blocks the main thread runs no signal handler either. Only
another thread can notice, and all that it can do is to leave the process: to
save from here could save half a step. The checkpoints written before stay.
"""

import contextlib
import faulthandler
import os
import pathlib
import select
import signal
import socket
import sys
import threading

from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_STOPPED

GRACE_SECONDS = 10.0  # to answer once a signal has asked to stop
_STOPS = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None))
_CLOSE = 0  # no signal has this number


class Watchdog:
    """Watches environments while it is entered.

    The time that counts is spent within one `reset`, `recv` or `close`, not
    while a network compiles or learns. It is counted in the watchdog's own
    looks, so that neither a clock that jumps nor a process that was suspended
    is taken for a hang. What holds Python's lock while it blocks also holds
    this thread, and is not noticed.

    - After `timeout_seconds`, the stacks of all threads are written to
      `hang.txt` in the directory and the process exits with 70.
    - After a `SIGTERM`, `SIGINT` or `SIGHUP` that a Python handler takes,
      environments have 10 s to answer; the process then exits with 75.
    - After two `SIGINT`, whatever the process does, likewise.

    Args:
        directory: Path of the directory for `hang.txt`.
        timeout_seconds: Float above 0, or `None` for no limit.
    """

    def __init__(self, directory, timeout_seconds):
        self._path = pathlib.Path(directory) / "hang.txt"
        self._timeout = timeout_seconds
        self._look_seconds = min(1.0, GRACE_SECONDS / 4, (timeout_seconds or 4.0) / 4)
        self._watched = []
        self._thread = None

    @contextlib.contextmanager
    def watching(self, envs):
        """Watches `envs`, a `VectorEnvs`, within the context."""
        self._watched.append(envs)
        try:
            yield envs
        finally:
            self._watched.remove(envs)

    def __enter__(self):
        self._reader, self._writer = socket.socketpair()  # pipes cannot be waited
        self._writer.setblocking(False)  # for on every system
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            # Python's C handler writes each signal's number here at once.
            self._before = signal.set_wakeup_fd(
                self._writer.fileno(), warn_on_full_buffer=False
            )
        self._thread = threading.Thread(
            target=self._look, name="keras_dqn watchdog", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exception):
        if self._is_main:
            signal.set_wakeup_fd(self._before)
        self._writer.setblocking(True)
        self._writer.sendall(bytes([_CLOSE]))
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _look(self):
        """Looks whether the same call is under way as at the last look."""
        received, last = [], {}
        waited = since_stop = since_interrupts = 0.0
        while True:
            if select.select([self._reader], [], [], self._look_seconds)[0]:
                received += self._reader.recv(1024)
                if _CLOSE in received:
                    return
                continue
            calls = {envs: envs.calls for envs in self._watched.copy()}
            stuck = [e for e, n in calls.items() if n % 2 and last.get(e) == n]
            last = calls
            is_asked = any(signum in received for signum in _STOPS)
            is_pressed = received.count(signal.SIGINT) > 1
            look = self._look_seconds
            waited = waited + look if stuck else 0.0
            since_stop = since_stop + look if stuck and is_asked else 0.0
            since_interrupts += look if is_pressed else 0.0
            who = repr(stuck[0]) if stuck else "The process"
            if self._timeout is not None and waited >= self._timeout:
                seconds = f"{self._timeout:g} seconds (`env_timeout_seconds`)"
                self._leave(EXIT_BROKEN, f"{who} has not answered for {seconds}")
            if max(since_stop, since_interrupts) >= GRACE_SECONDS:
                seconds = f"{GRACE_SECONDS:g} seconds since it was asked to stop"
                self._leave(EXIT_STOPPED, f"{who} has not answered for {seconds}")

    def _leave(self, code, reason):
        """Writes the stacks, says why, and ends the process here and now."""
        where = "could not be written"
        with contextlib.suppress(OSError), open(self._path, "w") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            where = f"are in {self._path}"
        _show_cursor()
        with contextlib.suppress(OSError):
            message = (
                f"{reason}. The stacks of all threads {where}. "
                "Left without saving; the checkpoints written before stay.\n"
            )
            os.write(2, message.encode())
        os._exit(code)


def _show_cursor():
    """A panel may have hidden it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.__stdout__.isatty():
            os.write(sys.__stdout__.fileno(), b"\x1b[?25h\n")
