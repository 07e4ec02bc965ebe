"""The contents and layout of the live panel.

The values are in three columns if the terminal is at least 114 characters wide, in
two if it is at least 80 wide, and else in one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group
from rich.panel import Panel as Frame
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from keras_dqn.monitor import text
from keras_dqn.monitor.info import RunInfo
from keras_dqn.progress import Progress

_THREE_COLUMNS = 112
_TWO_COLUMNS = 78
_ONE_LINE_STATUS = 56
_RATIOS = (5, 6, 5)  # of column widths: the middle column has the longest values
_MARGIN = 2  # space for the ^C that a terminal prints


def waiting() -> Any:
    """Returns the text that is shown before the first record."""
    return Text("starting ...", style="dim")


def is_first_update_next(info: RunInfo, progress: Progress) -> bool:
    """Whether the next iteration is the first that trains."""
    added = progress.env_steps_done - progress.env_steps
    due = _transitions_before_training(info, progress)
    return not progress.is_training and progress.replay_size + added >= due


def _transitions_before_training(info, progress):
    return info.settings.get("learning_starts_env_steps") or progress.replay_capacity


@dataclasses.dataclass(frozen=True)
class Panel:
    """A rich renderable: the state of a run.

    Args:
        info: `RunInfo`.
        progress: The newest `Progress`.
        elapsed: Seconds since the start.
        env_steps_per_second: Recent rate, or `None` if it is not known yet.
        updates_per_second: Recent rate, or `None` if it is not known yet.
        seconds_left: Seconds until the end, or `None` if not known yet.
    """

    info: RunInfo
    progress: Progress
    elapsed: float
    env_steps_per_second: float | None
    updates_per_second: float | None
    seconds_left: float | None

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        sign = "+-" if options.ascii_only else "±"
        width = options.max_width - _MARGIN
        learning = self._learning(sign)
        if width >= _THREE_COLUMNS:
            columns = [self._run(), self._play(), learning]
        elif width >= _TWO_COLUMNS:
            # Epsilon and beta fill up the shorter column.
            columns = [self._run() + learning[3:], self._play() + learning[:3]]
        else:
            columns = [self._run() + self._play() + learning]
        info = self.info
        encodable = functools.partial(text.encodable, encoding=options.encoding)
        yield Frame(
            Group(self._bar(), self._status(width), Text(), _grid(columns)),
            title=Text(encodable(f"keras_dqn - {info.env_id}"), style="bold"),
            title_align="left",
            subtitle=Text(encodable(f"{info.backend} - {info.device}"), style="dim"),
            subtitle_align="right",
            border_style="cyan",
            box=box.ROUNDED,
            padding=(0, 1),
            width=width,
        )

    def _bar(self):
        done, total = self.progress.env_steps_done, self.progress.total_env_steps
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=max(total, 1), completed=done)
        row.add_row(bar, text.percent(done, total))
        return row

    def _status(self, width):
        clock = f"elapsed {text.duration(self.elapsed)}"
        if self.progress.is_training:
            clock += f", left {text.duration(self.seconds_left)}"
        clock = Text(clock, style="dim")
        if width < _ONE_LINE_STATUS:
            return Group(self._state(), clock)
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right")
        row.add_row(self._state(), clock)
        return row

    def _state(self):
        progress = self.progress
        if progress.is_training:
            return Text("training", style="green")
        if is_first_update_next(self.info, progress):
            return Text("first update: compiling the train step", style="yellow")
        capacity = max(progress.replay_capacity, 1)
        due = 100 * _transitions_before_training(self.info, progress) // capacity
        at = "when it is full" if due >= 100 else f"at {due} %"
        filled = 100 * progress.replay_size // capacity
        return Text(
            f"filling the replay {filled} % - training starts {at}",
            style="yellow",
        )

    def _run(self):
        progress, number = self.progress, text.number
        done, total = progress.env_steps_done, progress.total_env_steps
        trained = progress.is_training
        updates_per_second = self.updates_per_second if trained else None
        rows = [
            ("agent steps", f"{text.short(done)} of {text.short(total)}"),
            ("agent steps/s", number(self.env_steps_per_second, ",.0f")),
            ("updates", f"{progress.updates:,}"),
            ("updates/s", number(updates_per_second, ",.1f")),
        ]
        skip = self.info.frame_skip
        if skip:
            frames = f"{text.short(done * skip)} (x {skip})"
            rows.insert(2, ("emulator frames", frames))
        return rows

    def _play(self):
        progress, number = self.progress, text.number
        unit, units = self.info.score_unit, self.info.score_units
        mean = _score(progress.score_mean)
        if mean != text.DASH:
            last = min(progress.episode_count, 100)
            mean += (
                f" (last {last})" if unit == "episode" else f" (last {last} {units})"
            )
        best = _score(progress.best_score)
        if best != text.DASH:
            best += f" (one {unit})"
        return [
            (units, f"{progress.episode_count:,}"),
            ("mean score", mean),
            ("best score", best),
            ("mean length", f"{number(progress.length_mean, ',.1f')} steps"),
            ("replay", self._replay()),
        ]

    def _learning(self, sign):
        progress = self.progress
        q = text.number(progress.q_mean, ".3f")
        if q != text.DASH:
            q += f" {sign} {text.number(progress.q_std, '.3f')}"
        return [
            ("loss", text.number(progress.loss, ".4g")),
            ("Q mean", q),
            ("|TD error|", text.number(progress.td_error, ".4f")),
            ("epsilon", text.number(progress.epsilon, ".4f")),
            ("beta", text.number(progress.beta, ".4f")),
        ]

    def _replay(self):
        progress = self.progress
        filled = text.percent(progress.replay_size, progress.replay_capacity)
        return f"{filled}, {text.memory(progress.replay_nbytes)}"


def _score(score):
    """Returns a score as text, without decimals from 1,000 on."""
    is_long = score is not None and abs(score) >= 1000
    return text.number(score, ",.0f") if is_long else text.score(score)


def _grid(columns):
    """Returns a table of columns, each a list of `(label, value)`."""
    outer = Table.grid(padding=(0, 3), expand=True)
    tables = []
    for rows, ratio in zip(columns, _RATIOS, strict=False):
        outer.add_column(ratio=ratio)
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for label, value in rows:
            table.add_row(label, Text(value))
        tables.append(table)
    outer.add_row(*tables)
    return outer
