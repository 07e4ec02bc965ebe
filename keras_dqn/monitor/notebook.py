"""The console in a notebook (Jupyter, Colab): one output that is updated in place."""

from __future__ import annotations

import collections
import html
import io
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from rich.console import Console

from keras_dqn.monitor import text as texts
from keras_dqn.monitor.base import Monitor
from keras_dqn.monitor.status import Status

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress

_WIDTH, _HEIGHT = 96, 50
_MESSAGES = 5  # the last ones are shown below the panel
_PRE = '<pre style="line-height: 1.25; white-space: pre">{code}</pre>'


class NotebookConsole(Monitor):
    """Shows the panel as one output of the cell, which does not grow.

    The last five messages stand below the panel.

    Args:
        refresh_seconds: Float, the shortest time between two updates.
        window_seconds: Float. Rates are averages over this many seconds of training.
        clock: Function without arguments that returns monotonic seconds.
        metrics: Path of the run's `metrics.jsonl`, see `LiveConsole`, or `None`.
        display: Function that takes HTML as a string, shows it, and returns a function
            that replaces it. Default: by `IPython.display`.
    """

    def __init__(
        self,
        refresh_seconds: float = 1.0,
        window_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        metrics: str | os.PathLike[str] | None = None,
        display: Callable[[str], Callable[[str], Any]] | None = None,
    ) -> None:
        self._refresh_seconds, self._clock = refresh_seconds, clock
        self._display = display or _display
        self._status = Status(window_seconds, clock, metrics)
        self._messages: collections.deque[str] = collections.deque(maxlen=_MESSAGES)
        self._show: Callable[[str], Any] | None = None  # replaces the output
        self._is_open, self._next_draw = False, clock()

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`. Reads what was before."""
        self._status.resume(env_steps)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`. Each run has an output of its own."""
        self._status.start(info)
        self._introduction = texts.introduction(info, _WIDTH)
        self._show, self._is_open = None, True
        self._draw()

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if self._is_open:
            self._status.write(progress)
            self._draw_if_due()

    def message(self, text: str) -> None:
        """See `Monitor.message`."""
        self._messages.append(text)
        if self._is_open:
            self._draw_if_due()

    def phase(self, name: str) -> None:
        """See `Monitor.phase`."""
        if self._is_open and self._status.phase(name):
            # The first update compiles: nothing is drawn until it is over.
            self._draw() if name == "compiling" else self._draw_if_due()

    def games(self, done: int, total: int) -> None:
        """See `Monitor.games`."""
        if self._is_open:
            self._status.games(done, total)
            self._draw_if_due()

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """See `Monitor.evaluation`."""
        if self._is_open:
            self._status.evaluation(env_steps, result)

    def close(self) -> None:
        """See `Monitor.close`. The last panel stays."""
        if self._is_open:
            self._status.end()
            self._draw()
            self._is_open = False
            self._messages.clear()

    def _draw_if_due(self):
        if self._clock() >= self._next_draw:
            self._draw()

    def _draw(self):
        self._next_draw = self._clock() + self._refresh_seconds
        self._status.update_rates()
        page = self._page()
        if self._show is None:
            self._show = self._display(page)
        else:
            self._show(page)

    def _page(self):
        """Returns introduction, panel and messages as HTML."""
        console = Console(
            file=io.StringIO(),
            record=True,
            width=_WIDTH,
            height=_HEIGHT,
            force_terminal=True,
            force_jupyter=False,
            color_system="truecolor",
        )
        console.print(self._status.panel())
        shown = console.export_html(inline_styles=True, code_format=_PRE)
        first, last = "\n".join(self._introduction), "\n".join(self._messages)
        return _plain(first) + shown + (_plain(last) if last else "")


def _plain(text):
    return _PRE.format(code=html.escape(text))


def _display(page):
    """Shows HTML in the cell. Returns a function that replaces it."""
    from IPython.display import HTML
    from IPython.display import display

    handle = display(HTML(page), display_id=True)
    return lambda page: handle.update(HTML(page))
