"""The console on a terminal: a panel that is redrawn in place.

`write` stores the record, and redraws the panel if that was last done half a second
ago or earlier. There is no thread.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from rich.console import Console
from rich.live import Live

from keras_dqn.monitor import panel
from keras_dqn.monitor import rates
from keras_dqn.monitor import text as texts
from keras_dqn.monitor.base import Monitor
from keras_dqn.monitor.plain import is_gone
from keras_dqn.monitor.plain import silence

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


_PACE_WINDOWS = 6  # the time left is estimated over this many rate windows


class LiveConsole(Monitor):
    """Draws a panel with a progress bar and the statistics of the run.

    Other output to the same terminal through `sys.stdout` or `sys.stderr` appears
    above the panel. If the terminal is closed, the console prints nothing more, and
    training goes on.

    Args:
        stream: Text stream, or a `rich.console.Console`. `None` is `sys.stdout`.
        refresh_seconds: Float, the shortest time between two redraws.
        window_seconds: Float. Rates are averages over this many seconds of training.
        clock: Function without arguments that returns monotonic seconds.
    """

    def __init__(
        self,
        stream: Any = None,
        refresh_seconds: float = 0.5,
        window_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        if isinstance(stream, Console):
            self._console, self._stream = stream, stream.file
        else:
            self._console = _Console(file=self._stream, highlight=False)
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._work = rates.SlidingRate(window_seconds)
        self._pace = rates.SlidingRate(_PACE_WINDOWS * window_seconds)
        self._live = None
        self._is_silent = self._stream is None

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._info, self._progress = info, None
        self._started = self._next_draw = self._clock()
        self._work_seconds = 0.0
        self._was_training = self._has_announced = False
        self._is_silent = self._stream is None
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            get_renderable=self._render,
            redirect_stdout=self._stream is sys.stdout,
            redirect_stderr=self._stream is sys.stdout and _is_terminal(sys.stderr),
        )
        atexit.register(self.close)  # shows the cursor again, however the process exits
        with self._terminal():
            for line in texts.introduction(info, self._console.width):
                self._print(line)
            if self._live is not None:
                self._live.start()

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if self._live is None:
            return
        self._work_seconds += progress.seconds
        self._progress = progress
        if progress.is_training != self._was_training:
            self._begin_training(progress)
        if self._clock() >= self._next_draw or self._is_about_to_compile():
            self._draw()

    def message(self, text: str) -> None:
        """See `Monitor.message`. The line appears above the panel."""
        with self._terminal():
            self._print(text)

    def close(self) -> None:
        """See `Monitor.close`. The last panel stays on the screen."""
        live = self._live
        if live is not None:
            if self._progress is not None:
                self._update_rates()
            with self._terminal():
                live.stop()
            self._forget_live()
        self._is_silent = True

    def _is_about_to_compile(self):
        """Returns true once: before the first update, which is slow to compile."""
        if self._has_announced or self._was_training:
            return False
        self._has_announced = panel.is_first_update_next(self._info, self._progress)
        return self._has_announced

    def _begin_training(self, progress):
        """Resets the rates, so that they exclude filling the replay and compiling."""
        self._was_training = progress.is_training
        self._work.clear()
        self._pace.clear()
        self._update_rates()

    def _update_rates(self):
        progress = self._progress
        done = progress.env_steps_done
        self._work.add(self._work_seconds, done, progress.updates)
        self._pace.add(self._clock(), done)

    def _draw(self):
        self._update_rates()
        with self._terminal():
            self._live.refresh()
        self._next_draw = self._clock() + self._refresh_seconds

    def _render(self):
        if self._progress is None:
            return panel.waiting()
        work, pace = self._work.rates(), self._pace.rates()
        return panel.Panel(
            self._info,
            self._progress,
            elapsed=self._clock() - self._started,
            env_steps_per_second=work and work[0],
            updates_per_second=work and work[1],
            seconds_left=rates.seconds_left(self._progress, pace and pace[0]),
        )

    def _print(self, line):
        if not self._is_silent:
            line = texts.encodable(line, self._console.encoding)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def _terminal(self):
        """Silences the console if the terminal is closed."""
        try:
            yield
        except (OSError, ValueError) as error:
            if not is_gone(self._stream, error):
                raise
            live = self._live
            self._forget_live()
            self._is_silent = True
            silence(self._stream)
            if live is not None:
                with contextlib.suppress(OSError, ValueError):
                    live.stop()  # restores `sys.stdout` and `sys.stderr`

    def _forget_live(self):
        self._live = None
        atexit.unregister(self.close)


def _is_terminal(stream):
    return stream is not None and stream.isatty()


class _Console(Console):
    """A console that raises on a closed pipe, where rich would exit the process."""

    def on_broken_pipe(self):
        raise BrokenPipeError("The output's pipe or terminal is closed.")
