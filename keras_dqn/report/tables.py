"""The tables and numbers of a report, as plain text."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dqn import presets
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.monitor import text
from keras_dqn.progress import decimals
from keras_dqn.report import charts
from keras_dqn.report.differences import nearest_preset
from keras_dqn.report.reading import RunLog
from keras_dqn.statistics import iqm


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        head: Strings, the titles of the columns.
        rows: Lists of strings, one for each column.
        marked: Indexes of rows that are marked.
        empty: String that is shown if there is no row.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    empty: str = "Nothing was logged."


def settings_of(run: RunLog) -> Settings | None:
    """Returns the `Settings` of a run, or `None` if they are not valid."""
    try:
        return Settings.from_dict(run.settings) if run.settings else None
    except SettingsError:
        return None


def subtitle(run: RunLog) -> str:
    """Returns a line: the game, the backend and when it was trained."""
    parts = [run.env_id, run.backend, str(run.info.get("device", ""))]
    times = run.metrics.get("time", np.array([]))
    times = times[np.isfinite(times)]
    if times.size:
        first, last = (_date(seconds) for seconds in (times[0], times[-1]))
        parts.append(f"{first} to {last} UTC")
    if run.resumed_at:
        steps = ", ".join(f"{steps:,}" for steps in run.resumed_at)
        parts.append(f"resumed at {steps} agent steps")
    return " · ".join(part for part in parts if part)


def tiles(run: RunLog) -> list[tuple[str, str]]:
    """Returns the most important numbers of a run, with their names."""
    found = [
        ("agent steps", f"{run.env_steps:,}"),
        ("updates", text.number(run.last("updates"), ",.0f")),
        ("training time", _hours(run.last("hours"))),
        (f"training {run.score_units}", f"{len(run.episode_scores):,}"),
        ("last 100, mean score", _score(run.last("score_mean"))),
        ("best training score", _score(run.last("best_score"))),
    ]
    if run.evaluations:
        last = run.evaluations[-1]
        low, high = last.interval
        found.append(("last evaluation", _score(last.mean)))
        found.append(("its 95 % interval", _interval(low, high)))
    return found


def charts_note(run: RunLog, drawn: Sequence[Mapping[str, Any]]) -> str:
    """Returns a line on what the charts leave out."""
    if not drawn:
        return "There are no charts: the log has no values yet."
    every = charts.stride(run)
    thinned = f" One record in {every} is drawn." if every > 1 else ""
    return f"Drag to zoom, double-click to go back.{thinned}"


def evaluations_table(run: RunLog) -> Table:
    """Returns a row for each evaluation."""
    head = ["agent steps", "mean", "95 % interval", "median", "IQM", "lowest"]
    head += ["highest", "episodes", "epsilon", "mean length", ""]
    rows = []
    for each in run.evaluations:
        low, high = each.interval
        length = each.lengths.mean() if each.lengths.size else math.nan
        row = [f"{each.env_steps:,}", _score(each.mean)]
        row += [_interval(low, high)]
        row += [_score(float(np.median(each.scores))), _score(iqm(each.scores))]
        row += [f"{each.scores.min():g}", f"{each.scores.max():g}"]
        row += [f"{len(each.scores):,}", text.number(each.epsilon, "g")]
        row += [text.number(length, ",.0f"), "after training" if each.is_final else ""]
        rows.append(row)
    return Table(head, rows, empty="No evaluation was logged.")


def settings_table(run: RunLog) -> tuple[Table, str]:
    """Returns the settings beside those of the nearest preset, and a note.

    Rows with a difference are marked.
    """
    settings = settings_of(run)
    if settings is None:
        note = "These settings are not valid in this version, so they are not compared."
        return pairs_table(run.settings), note if run.settings else ""
    name, changes = nearest_preset(settings)
    preset = presets.get(name)()
    rows = [
        [
            field,
            value_text(getattr(settings, field)),
            value_text(getattr(preset, field)),
            _meaning(field),
        ]
        for field in FIELDS
    ]
    marked = frozenset(i for i, field in enumerate(FIELDS) if field in changes)
    count = len(changes)
    note = f"Marked: {count} that differ{'s' if count == 1 else ''} from the preset "
    note += f"{name}, the nearest one."
    if "env_steps" in changes:
        note += " Schedules that scale with env_steps are not marked."
    return Table(
        ["setting", "this run", f"preset {name}", "meaning"], rows, marked
    ), note


def versions_table(run: RunLog) -> Table:
    """Returns versions, backend, device and what is known of the machine."""
    info = run.info
    facts = {name: info[name] for name in ("backend", "device") if info.get(name)}
    return pairs_table({**facts, **info.get("versions", {}), **_new_facts(run)})


def _new_facts(run):
    """Returns the facts of the machine that the log does not have."""
    known = {f"version of {name}" for name in run.info.get("versions", {})}
    return {
        name: value
        for name, value in run.machine.items()
        if name not in known | {"backend", "device"} and value is not None
    }


def pairs_table(values: Mapping[str, Any]) -> Table:
    """Returns a row for each name and its value."""
    rows = [[str(name), value_text(value)] for name, value in values.items()]
    return Table(["name", "value"], rows)


def value_text(value: Any) -> str:
    """Returns a setting as text, such as `1,000`, `yes` or `0: 1; 1,000: 0.1`."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, tuple | list):
        return "; ".join(_pair_text(each) for each in value) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _pair_text(each: Any) -> str:
    if isinstance(each, Iterable) and not isinstance(each, str):
        return ": ".join(map(value_text, each))
    return value_text(each)


def _meaning(field):
    metadata = FIELDS[field].metadata
    unit = metadata.get("unit")
    is_shown = unit and unit not in metadata["help"] and metadata["kind"] != "endpoints"
    return metadata["help"].replace("`", "") + (f" ({unit})" if is_shown else "")


def _score(value):
    return text.score(value) if math.isfinite(value) else text.DASH


def _interval(low, high):
    digits = decimals(max(abs(low), abs(high)))
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _hours(hours):
    if not math.isfinite(hours):
        return text.DASH
    return f"{hours:.2f} h" if hours >= 1.0 else f"{60.0 * hours:.1f} min"


def _date(seconds):
    try:
        found = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):  # not a time
        return text.DASH
    return found.strftime("%Y-%m-%d %H:%M")
