"""The contract of a monitor, and the monitor that is several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING
from typing import Self

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


class Monitor:
    """Reads the records of a run.

    Call `resume` (only when a run goes on from a checkpoint) and `start`, then
    `write` once per iteration, then `close`. A monitor that can no longer write
    (a full disk, a closed pipe) says so once and lets the training go on.
    """

    def resume(self, env_steps: int) -> None:
        """Prepares for a run that goes on at `env_steps`. Call it before `start`.

        What was logged at `env_steps` or later is withdrawn, so that nothing is
        in the log twice.

        Args:
            env_steps: Int. `env_steps` of the first record to come.
        """

    def start(self, info: RunInfo) -> None:
        """Takes note of what runs, before the first record.

        Args:
            info: `RunInfo`.
        """

    def write(self, progress: Progress) -> None:
        """Takes the record of one iteration.

        Args:
            progress: `keras_dqn.progress.Progress`.
        """

    def message(self, text: str) -> None:
        """Says a line of text, such as "Saved model".

        Args:
            text: String.
        """

    def close(self) -> None:
        """Lets go of files and of the terminal. Calling it twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Monitors(Monitor):
    """Sends every call to several monitors, in their order.

    All of them are closed, even if closing one of them raises.

    Args:
        monitors: Iterable of monitors.
    """

    def __init__(self, monitors: Iterable[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`."""
        for monitor in self._monitors:
            monitor.resume(env_steps)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`. If one cannot start, all of them are closed."""
        try:
            for monitor in self._monitors:
                monitor.start(info)
        except BaseException:
            self.close()
            raise

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        for monitor in self._monitors:
            monitor.write(progress)

    def message(self, text: str) -> None:
        """See `Monitor.message`."""
        for monitor in self._monitors:
            monitor.message(text)

    def close(self) -> None:
        """See `Monitor.close`."""
        with contextlib.ExitStack() as stack:
            for monitor in reversed(self._monitors):
                stack.callback(monitor.close)
