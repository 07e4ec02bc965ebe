"""Signals as requests, which a run fulfils between two iterations.

An exception in the middle of an update could leave the learner without its
weights (JAX donates them) and the replay half-written. So a handler only takes
a note, and whoever runs the loop looks at it between iterations.
"""

import contextlib
import signal
import threading

# What the command listens to, as far as the system knows it. `SIGHUP` says that
# the terminal was closed or the connection lost.
COMMAND = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)

_listening = None


class Requests:
    """What has been asked for by signals.

    Attributes:
        stop: Boolean, whether to end after the iteration that is under way.
    """

    def __init__(self):
        self.stop = False
        self._save = False
        self._interrupts = 0

    def take_save(self):
        """Returns whether a checkpoint was asked for, and forgets it."""
        save, self._save = self._save, False
        return save

    def handle(self, signum, frame=None):
        """The handler: `SIGUSR1` asks to save, any other signal to stop.

        Raises:
            KeyboardInterrupt: At the second `SIGINT`.
        """
        if signum == getattr(signal, "SIGUSR1", None):
            self._save = True
            return
        self.stop = True
        self._interrupts += signum == signal.SIGINT
        if self._interrupts > 1:
            raise KeyboardInterrupt


@contextlib.contextmanager
def handled(signals=(signal.SIGINT,)):
    """Turns signals into requests; the second `SIGINT` gets through.

    Inside another `handled` it changes nothing and gives that one's requests.
    The handlers that were there before come back at the end. A `SIGHUP` that is
    ignored, as under `nohup`, stays ignored.

    Args:
        signals: Signal numbers. By default Ctrl-C alone: what else a process
            does with its signals is for its owner to say.

    Yields:
        `Requests`. Outside the main thread, where Python allows no handlers,
        nothing is ever asked for and signals do what they did before.
    """
    global _listening
    if threading.current_thread() is not threading.main_thread():
        yield Requests()
        return
    if _listening is not None:
        yield _listening
        return
    requests = _listening = Requests()
    before = {}
    try:
        for signum in signals:
            if _is_of_nohup(signum):
                continue
            before[signum] = signal.signal(signum, requests.handle)
        yield requests
    finally:
        _listening = None
        for signum, handler in before.items():
            # `None` is a handler that was not installed from Python.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _is_of_nohup(signum):
    hangup = getattr(signal, "SIGHUP", None)
    return signum == hangup and signal.getsignal(signum) == signal.SIG_IGN
