"""Signals as requests, which the training loop meets between two iterations.

An exception in the middle of an update could leave the learner without its weights
(JAX donates them) and the replay partly written. So a signal handler only sets a
flag, and the loop looks at it between iterations.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable
from collections.abc import Iterator
from types import FrameType


def _known(*names: str) -> tuple[signal.Signals, ...]:
    """Returns the signals of these names that the system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


# `SIGHUP`: the terminal was closed or the connection lost. `SIGBREAK`: the same on
# Windows, and Ctrl-Break.
STOP = _known("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SAVE = _known("SIGUSR1")
COMMAND = STOP + SAVE  # what the command handles

_active: Requests | None = None


class Requests:
    """What signals have asked for.

    Attributes:
        stop: Boolean, whether to stop after the current iteration.
    """

    def __init__(self) -> None:
        self.stop = False
        self._save = False
        self._interrupts = 0

    def take_save(self) -> bool:
        """Returns whether a checkpoint was asked for, and clears the request."""
        save, self._save = self._save, False
        return save

    def handle(self, signum: int, frame: FrameType | None = None) -> None:
        """The signal handler: `SIGUSR1` asks for a checkpoint, others to stop.

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

    Within another `handled` it changes nothing and yields the outer requests. The
    previous handlers are restored at the end. A `SIGHUP` that is ignored, as under
    `nohup`, stays ignored.

    Args:
        signals: Signal numbers. By default Ctrl-C alone: the other signals belong
            to the program that uses the library.

    Yields:
        `Requests`. Outside the main thread, where Python allows no handlers, it
        never holds a request, and signals have their usual effect.
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Requests()
        return
    if _active is not None:
        yield _active
        return
    requests = _active = Requests()
    before = {}
    try:
        for signum in signals:
            if _is_of_nohup(signum):
                continue
            before[signum] = signal.signal(signum, requests.handle)
        yield requests
    finally:
        _active = None
        for signum, handler in before.items():
            # `None` is a handler that was not installed from Python.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _is_of_nohup(signum):
    hangup = getattr(signal, "SIGHUP", None)
    return signum == hangup and signal.getsignal(signum) == signal.SIG_IGN
