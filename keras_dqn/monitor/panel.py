"""The contents and layout of the live panel.

The values are in three columns if the terminal is at least 114 characters wide, in
two if it is at least 80 wide, and else in one, which is cut off to fit the height.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.panel import Panel as Frame
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from keras_dqn.monitor import rows
from keras_dqn.monitor import text
from keras_dqn.monitor.history import History
from keras_dqn.monitor.history import bars
from keras_dqn.monitor.info import RunInfo
from keras_dqn.progress import Progress

_THREE_COLUMNS = 112
_TWO_COLUMNS = 78
_ONE_LINE_STATUS = 56
_REMARKS = 46
_RATIOS = (5, 6, 5)  # of column widths: the middle column has the longest values
_MARGIN = 2  # space for the ^C that a terminal prints
_FRAME = 2  # lines of the border
_FEWEST_ROWS = 4
# No yellow or white: they cannot be read on a light background.
_STYLES = {"filling": "magenta", "compiling": "magenta", "training": "green"}
_DOING = {
    "filling": "filling the replay",
    "compiling": "compiling the train step: this takes seconds to minutes",
    "training": "training",
    "saving": "saving a checkpoint",
    "evaluating": "evaluating",
}


def waiting(phase: str | None = None) -> Any:
    """Returns the text that is shown before the first record."""
    return Text(_DOING.get(phase or "", "starting") + " ...", style="bold")


@dataclasses.dataclass(frozen=True)
class Panel:
    """A rich renderable: the state of a run.

    Args:
        info: `RunInfo`.
        progress: The newest `Progress`.
        elapsed: Seconds since the start.
        env_steps_per_second: Recent rate, or `None` if it is not known yet.
        updates_per_second: Recent rate, or `None` if it is not known yet.
        pace: Agent steps per second of the clock, or `None` if not known yet.
        is_whole_time: Whether `elapsed` counts all sessions of a resumed run.
        phase: Name of the phase, see `Monitor.phase`. Default: by `progress`.
        games: Tuple `(done, total)` during an evaluation, or `None`.
        evaluation: Tuple of agent steps and the newest `Evaluation`, or `None`.
        scores, losses: `History`.
        end: How the run ended, or `None` while it runs.
    """

    info: RunInfo
    progress: Progress
    elapsed: float
    env_steps_per_second: float | None
    updates_per_second: float | None
    pace: float | None
    is_whole_time: bool = True
    phase: str | None = None
    games: tuple[int, int] | None = None
    evaluation: tuple[int, Any] | None = None
    scores: History = dataclasses.field(default_factory=History)
    losses: History = dataclasses.field(default_factory=History)
    end: str | None = None

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        width = options.max_width - _MARGIN
        head = [self._bar(), self._status(width), *self._games_bar()]
        tail = [_Curves(self.scores, self.losses), *self._last_evaluation(width)]
        used = _FRAME + sum(_height(console, options, width, head + tail))
        room = max(options.size.height - used - 1, _FEWEST_ROWS)
        figures = rows.Figures(self, "+-" if options.ascii_only else "±")
        if width >= _THREE_COLUMNS:
            columns = figures.three_columns()
        elif width >= _TWO_COLUMNS:
            columns = figures.two_columns()
        else:
            columns = [figures.one_column(width >= _REMARKS)[:room]]
        gap = [Text()] if room > max(map(len, columns)) else []
        encodable = functools.partial(text.encodable, encoding=options.encoding)
        yield Frame(
            Group(*head, *gap, _grid(columns), *tail),
            title=Text(encodable(f"keras_dqn - {self.info.env_id}"), style="bold"),
            title_align="left",
            subtitle=Text(encodable(f"{self.info.backend} - {self.info.device}")),
            subtitle_align="right",
            border_style="cyan",
            box=box.ROUNDED,
            padding=(0, 1),
            width=width,
        )

    def _bar(self):
        done, total = self.progress.env_steps_done, self.progress.total_env_steps
        return _bar_row(done, total, text.percent(done, total))

    def _games_bar(self):
        if self.games is None or self.end is not None:
            return []
        done, total = self.games
        units = self.info.score_units
        return [_bar_row(done, total, f"{done} of {total} {units}")]

    def _status(self, width):
        clock = "elapsed" if self.is_whole_time else "this session"
        clock += f" {text.duration(self.elapsed)}"
        if self.progress.is_training and self.end is None:
            clock += f", left {text.duration(self._seconds_left())}"
        if width < _ONE_LINE_STATUS:
            return Group(self._state(), Text(clock))
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right")
        row.add_row(self._state(), Text(clock))
        return row

    def _seconds_left(self):
        left = self.progress.total_env_steps - self.progress.env_steps_done
        return max(left, 0) / self.pace if self.pace else None

    def _state(self):
        if self.end is not None:
            return Text(self.end, style="bold")
        progress = self.progress
        phase = self.phase or ("training" if progress.is_training else "filling")
        doing = self._filling() if phase == "filling" else _DOING.get(phase, phase)
        return Text(doing, style=_STYLES.get(phase, "bold"))

    def _filling(self):
        progress = self.progress
        capacity = max(progress.replay_capacity, 1)
        due = self.info.settings.get("learning_starts_env_steps") or capacity
        at = "when it is full" if due >= capacity else f"at {100 * due // capacity} %"
        if self.pace:
            left = max(due - progress.replay_size, 0) / self.pace
            at = f"in {text.duration(left)}"
        filled = 100 * progress.replay_size // capacity
        return f"filling the replay {filled} % - training starts {at}"

    def _last_evaluation(self, width):
        if self.evaluation is None:
            return []
        env_steps, result = self.evaluation
        low, high = (rows.score(value) for value in result.interval)
        value = f"{rows.score(result.mean)} ({low} to {high})"
        games = f", {len(result.scores)} {self.info.score_units}"
        at = f" at {text.short(env_steps)} steps"
        value += (games if width >= _TWO_COLUMNS else "") + at
        return [_grid([[("evaluation", value)]], is_cut=False)]


class _Curves:
    """Two lines of bars that fill the width: the mean score and the loss."""

    def __init__(self, scores, losses):
        self._rows = (("score", scores, rows.score), ("loss", losses, "{:.3g}".format))

    def __rich_console__(self, console, options):
        for label, history, shown in self._rows:
            every = history.points(1_000_000)
            span = f"{shown(min(every))} to {shown(max(every))}" if every else text.DASH
            room = options.max_width - len(label) - len(span) - 4
            points = history.points(max(room, 1)) if room > 0 else []
            line = Text(no_wrap=True, overflow="crop")
            line.append(f"{label:<5}", style="dim")
            line.append(f" {bars(points, options.ascii_only)} ")
            line.append(span)
            yield line

    def __rich_measure__(self, console, options):
        return Measurement(options.max_width, options.max_width)


def _bar_row(done, total, label):
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True, justify="right")
    row.add_row(ProgressBar(total=max(total, 1), completed=done), label)
    return row


def _height(console, options, width, renderables):
    """Yields the lines that each renderable takes inside the frame."""
    inner = options.update(width=max(width - 4, 1), height=None)
    for renderable in renderables:
        yield len(console.render_lines(renderable, inner, pad=False))


def _grid(columns, is_cut=True):
    """Returns a table of columns, each a list of `(label, value)`."""
    outer = Table.grid(padding=(0, 3), expand=True)
    tables = []
    for pairs, ratio in zip(columns, _RATIOS, strict=False):
        outer.add_column(ratio=ratio)
        table = Table.grid(padding=(0, 2))
        widest = max(len(label) for label, _ in pairs)
        table.add_column(style="dim", no_wrap=True, min_width=widest)
        table.add_column(no_wrap=is_cut, overflow="ellipsis")
        for label, value in pairs:
            table.add_row(label, Text(value))
        tables.append(table)
    outer.add_row(*tables)
    return outer
