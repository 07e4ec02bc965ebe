"""The console on a terminal: a panel that is redrawn in place.

`write` stores the record, and redraws the panel if that was last done half a second
ago or earlier. There is no thread.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from rich.console import Console
from rich.live import Live

from keras_dqn.monitor import text as texts
from keras_dqn.monitor.base import Monitor
from keras_dqn.monitor.plain import is_gone
from keras_dqn.monitor.plain import silence
from keras_dqn.monitor.resize import EraseWrapped
from keras_dqn.monitor.status import Status

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


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
        metrics: Path of the run's `metrics.jsonl`, which says what was before a
            resume, or `None`.
    """

    def __init__(
        self,
        stream: Any = None,
        refresh_seconds: float = 0.5,
        window_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        metrics: str | os.PathLike[str] | None = None,
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        if isinstance(stream, Console):
            self._console, self._stream = stream, stream.file
        else:
            self._console = SafeConsole(file=self._stream, highlight=False)
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._status = Status(window_seconds, clock, metrics)
        self._live = None
        self._is_silent = self._stream is None

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`. Reads what was before."""
        self._status.resume(env_steps)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._status.start(info)
        self._next_draw = self._clock()
        self._is_silent = self._stream is None
        hook = EraseWrapped(self._console)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            get_renderable=lambda: hook.measured(self._status.panel()),
            redirect_stdout=self._stream is sys.stdout,
            redirect_stderr=self._stream is sys.stdout and _is_terminal(sys.stderr),
        )
        atexit.register(self.close)  # shows the cursor again, however the process exits
        with self._terminal():
            for line in texts.introduction(info, self._console.width):
                self._print(line)
            if self._live is not None:
                self._console.push_render_hook(hook)
                self._live.start()

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if self._live is None:
            return
        self._status.write(progress)
        self._draw_if_due()

    def message(self, text: str) -> None:
        """See `Monitor.message`. The line appears above the panel."""
        with self._terminal():
            self._print(text)

    def phase(self, name: str) -> None:
        """See `Monitor.phase`. Phases in which no record arrives are drawn at once."""
        if self._live is None:
            return
        if self._status.phase(name) and name not in ("filling", "training"):
            self._draw()

    def games(self, done: int, total: int) -> None:
        """See `Monitor.games`."""
        if self._live is not None:
            self._status.games(done, total)
            self._draw_if_due()

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """See `Monitor.evaluation`."""
        if self._live is not None:
            self._status.evaluation(env_steps, result)

    def close(self) -> None:
        """See `Monitor.close`. The last panel stays on the screen."""
        live = self._live
        if live is not None:
            self._status.end()
            with self._terminal():
                live.stop()
                self._console.pop_render_hook()
            self._forget_live()
        self._is_silent = True

    def _draw_if_due(self):
        if self._clock() >= self._next_draw:
            self._draw()

    def _draw(self):
        self._status.update_rates()
        with self._terminal():
            self._live.refresh()
        self._next_draw = self._clock() + self._refresh_seconds

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


class SafeConsole(Console):
    """A console that raises on a closed pipe, where rich would exit the process."""

    def on_broken_pipe(self) -> None:
        """Raises `BrokenPipeError`."""
        raise BrokenPipeError("The output's pipe or terminal is closed.")
