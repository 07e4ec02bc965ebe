"""Signals as requests, which the training loop checks between iterations.

An exception during an update could leave the learner without weights (JAX donates
them) and the replay partly written. So a signal handler only sets a flag, which the
training loop checks between iterations.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from types import FrameType
from typing import Any


def _existing(*names: str) -> tuple[signal.Signals, ...]:
    """Returns those of the named signals that exist on this system."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


# `SIGHUP`: the terminal was closed or the connection lost. `SIGBREAK`: the same on
# Windows, and Ctrl-Break.
STOP = _existing("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SAVE = _existing("SIGUSR1")
COMMAND = STOP + SAVE  # the signals that the commands handle

_active: Requests | None = None


class Requests:
    """The requests that signals have made.

    Attributes:
        stop: Boolean, whether to stop after the current iteration.
    """

    def __init__(self) -> None:
        self.stop = False
        self._save = False
        self._interrupts = 0

    def take_save(self) -> bool:
        """Returns whether a checkpoint was requested, and clears the request."""
        save, self._save = self._save, False
        return save

    def handle(self, signum: int, frame: FrameType | None = None) -> None:
        """The signal handler: `SIGUSR1` requests a checkpoint, others a stop.

        Raises:
            KeyboardInterrupt: At the second `SIGINT`.
        """
        if signum in SAVE:
            self._save = True
            return
        self.stop = True
        self._interrupts += signum == signal.SIGINT
        if self._interrupts > 1:
            raise KeyboardInterrupt


@contextlib.contextmanager
def handled(signals: Iterable[int] = (signal.SIGINT,)) -> Iterator[Requests]:
    """Turns signals into requests. The second `SIGINT` raises `KeyboardInterrupt`.

    A nested call yields the outer requests and changes no handlers. Previous handlers
    are restored at the end. An ignored `SIGHUP`, as under `nohup`, stays ignored.

    Args:
        signals: Signal numbers. Default: only Ctrl-C, since other signals may be used
            by the program.

    Yields:
        `Requests`. Outside the main thread, Python does not allow signal handlers.
        There the requests stay empty, and signals have their usual effect.
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Requests()
        return
    if _active is not None:
        yield _active
        return
    requests = _active = Requests()
    before = _install(signals, requests.handle)
    try:
        yield requests
    finally:
        _active = None
        _restore(before)


@contextlib.contextmanager
def passed_on(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Calls a function for each signal that a command handles.

    Args:
        handler: Function of the signal number and the interrupted frame.
    """
    before = _install(COMMAND, handler)
    try:
        yield
    finally:
        _restore(before)


@contextlib.contextmanager
def ignored(signals: Iterable[int]) -> Iterator[None]:
    """Ignores signals. A process that is started meanwhile ignores them at first.

    Args:
        signals: Signal numbers.
    """
    before = _install(signals, signal.SIG_IGN)
    try:
        yield
    finally:
        _restore(before)


def _install(signals, handler):
    """Installs a handler. Returns the previous ones by signal number."""
    return {
        signum: signal.signal(signum, handler)
        for signum in signals
        if not _is_ignored_hangup(signum)
    }


def _restore(handlers):
    for signum, handler in handlers.items():
        # `None`: the previous handler was not installed from Python.
        signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _is_ignored_hangup(signum):
    hangup = getattr(signal, "SIGHUP", None)
    return signum == hangup and signal.getsignal(signum) == signal.SIG_IGN
