"""Learning curves: of single runs, and means over runs that differ in the seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dqn import checks
from keras_dqn.config import FIELDS
from keras_dqn.report.reading import RunLog
from keras_dqn.report.reading import setting_of

SCORE = "score_mean"
X_LABELS = {
    "steps": "agent steps",
    "frames": "emulator frames",
    "hours": "hours of training",
}
METRIC_LABELS = {
    SCORE: "mean score, last 100 episodes",
    "length_mean": "mean length of the last 100 episodes, agent steps",
    "best_score": "best score of a training episode",
    "loss": "loss",
    "q_mean": "mean of Q(s, a)",
    "q_std": "standard deviation of Q(s, a)",
    "td_error": "mean |TD error|",
    "gradient_norm": "gradient norm before clipping",
    "effective_sample_size": "effective sample size of a minibatch",
    "sample_age_mean": "mean age of the sampled transitions, agent steps",
    "max_priority": "largest priority",
    "learning_rate": "learning rate",
    "env_steps_per_second": "agent steps per second",
    "updates_per_second": "updates per second",
}
SETTINGS = (*FIELDS, "backend")  # by which runs can be grouped
_MOST_POINTS = 1_000  # of a mean over runs
_MOST_NAMED = 2  # settings in a label, beside the one that groups


@dataclasses.dataclass(frozen=True)
class Points:
    """Points with intervals.

    Attributes:
        x, y: Float64 arrays `(n,)`.
        low, high: Float64 arrays `(n,)`, the ends of the intervals of `y`.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve of one run, or the mean of several.

    Attributes:
        label: String for the legend.
        group: Int, curves of one group have the same color.
        line: `Points`. `low` and `high` are equal to `y` for a single run.
        evaluations: `Points`, empty unless the curve is of scores.
        runs: Number of runs.
    """

    label: str
    group: int
    line: Points
    evaluations: Points
    runs: int = 1


def metric_names(runs: Sequence[RunLog]) -> list[str]:
    """Returns the names of the metrics that any of the runs logged, in order."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return [name for name in names if name not in ("env_steps", "hours", "time")]


def curves_of(
    runs: Sequence[RunLog],
    metric: str = SCORE,
    x: str = "steps",
    group_by: str | None = None,
) -> list[Curve]:
    """Returns the curves of runs.

    With `group_by`, runs that differ only in the seed become one curve: their mean
    and its 95 % interval (Student's t), from the first step that all of them have to
    the last one. Values between two records are interpolated linearly.

    Args:
        runs: Sequence of `RunLog`.
        metric: Field of the records of type "metrics".
        x: `"steps"`, `"frames"` or `"hours"`.
        group_by: Name in `SETTINGS`, or `None` for a curve of each run.

    Returns:
        List of `Curve`. Runs without a value of `metric` have none.

    Raises:
        ValueError: If an argument is unknown, if a run has no emulator frames, or if
            runs of one group have no steps in common.
    """
    checks.choice("x", x, X_LABELS)
    _check_names(runs, metric, group_by)
    known = [run for run in runs if np.isfinite(_column(run, metric)).any()]
    if group_by is None:
        labels = labels_of(known)
        return [
            _curve([run], metric, x, label, number)
            for number, (run, label) in enumerate(zip(known, labels, strict=True))
        ]
    found = []
    for number, members in enumerate(_groups(known, group_by)):
        for same in _equal_but_for_seed(members):
            label = _group_label(same, members, group_by)
            found.append(_curve(same, metric, x, label, number))
    return found


def _check_names(runs, metric, group_by):
    names = metric_names(runs)
    if names and metric not in names:
        rule = f"one of {', '.join(names)}"
        hint = checks.did_you_mean(metric, names)
        raise checks.ArgumentError("metric", rule, metric, hint)
    if group_by is not None and group_by not in SETTINGS:
        hint = checks.did_you_mean(group_by, SETTINGS)
        raise checks.ArgumentError("group_by", "a setting", group_by, hint)


def mean_over_runs(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> Points:
    """Returns the mean of lines, and its 95 % interval, where all of them are.

    Args:
        lines: Sequence of pairs `(x, y)` of float64 arrays, `x` in ascending order.

    Returns:
        `Points`, at most 1,000, at values of `x` that occur in a line.

    Raises:
        ValueError: If the ranges of `x` do not overlap.
    """
    if len(lines) == 1:
        x, y = lines[0]
        return Points(x, y, y, y)
    first = max(x[0] for x, _ in lines)
    last = min(x[-1] for x, _ in lines)
    if first > last:
        raise ValueError("These runs have no steps in common, of which to take a mean")
    common = np.unique(np.concatenate([x for x, _ in lines]))
    common = common[(common >= first) & (common <= last)]
    every = math.ceil(len(common) / _MOST_POINTS)
    common = np.append(common[:-1:every], common[-1])
    return _mean(common, np.stack([np.interp(common, x, y) for x, y in lines]))


def evaluation_points(run: RunLog, x: str = "steps") -> Points:
    """Returns the mean scores of the evaluations of a run, with 95 % intervals.

    Args:
        run: `RunLog`.
        x: See `curves_of`.
    """
    found = run.evaluations
    return Points(
        _x_at(run, np.array([each.env_steps for each in found], np.float64), x),
        np.array([each.mean for each in found], np.float64),
        np.array([each.interval[0] for each in found], np.float64),
        np.array([each.interval[1] for each in found], np.float64),
    )


def _column(run, name):
    return run.metrics.get(name, np.array([np.nan]))


def _curve(runs, metric, x, label, group):
    lines = []
    for run in runs:
        y = _column(run, metric)
        is_known = np.isfinite(y)
        steps = run.metrics["env_steps"][is_known]
        lines.append((_x_at(run, steps, x), y[is_known]))
    nothing = Points(*[np.array([])] * 4)
    points = _evaluations(runs, x) if metric == SCORE else nothing
    return Curve(label, group, mean_over_runs(lines), points, len(runs))


def _evaluations(runs, x):
    """Returns the evaluations of a run, or their mean where all runs have one."""
    if len(runs) == 1:
        return evaluation_points(runs[0], x)
    means = [{each.env_steps: each.mean for each in run.evaluations} for run in runs]
    shared = sorted(set.intersection(*map(set, means)))
    at = np.array(shared, np.float64)
    xs = np.mean([_x_at(run, at, x) for run in runs], axis=0)
    return _mean(xs, np.array([[each[steps] for steps in shared] for each in means]))


def _mean(x, values):
    """Returns the mean over the first axis, with its interval by Student's t."""
    import scipy.stats  # here: it takes a second to import

    count = len(values)
    factor = scipy.stats.t.ppf(0.975, count - 1) / math.sqrt(count)
    mean, half = values.mean(axis=0), factor * values.std(axis=0, ddof=1)
    return Points(x, mean, mean - half, mean + half)


def _x_at(run, env_steps, x):
    """Returns agent steps in the unit of `x`."""
    if x == "steps":
        return env_steps
    if x == "hours":
        columns = run.metrics
        if not columns:
            return np.full(len(env_steps), np.nan)
        return np.interp(env_steps, columns["env_steps"], columns["hours"])
    if run.frame_skip is None:
        raise ValueError(
            "`x` must be steps or hours for runs without emulator frames. "
            f"Received: x='frames', and {run.path}"
        )
    return env_steps * run.frame_skip


def labels_of(runs: Sequence[RunLog]) -> list[str]:
    """Returns the names of runs, or their paths if names occur twice."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [str(run.path) for run in runs]


def _groups(runs, name):
    """Returns lists of runs with equal values of a setting, numbers in order."""
    groups = {}
    for run in runs:
        groups.setdefault(repr(setting_of(run, name)), []).append(run)
    return sorted(groups.values(), key=lambda each: _order(setting_of(each[0], name)))


def _order(value):
    is_number = isinstance(value, int | float)
    return (is_number, value if is_number else 0, str(value))


def _equal_but_for_seed(runs):
    groups = {}
    for run in runs:
        key = repr([setting_of(run, name) for name in SETTINGS if name != "seed"])
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _group_label(runs, group, group_by):
    """Returns a label: the setting, what differs in the group, and how many runs."""
    names = [group_by]
    for name in SETTINGS:
        values = {repr(setting_of(run, name)) for run in group}
        is_shown = name not in (group_by, "seed") and len(names) <= _MOST_NAMED
        if len(values) > 1 and is_shown:
            names.append(name)
    parts = [f"{name} {_text(setting_of(runs[0], name))}" for name in names]
    if len(runs) > 1:
        parts.append(f"mean of {len(runs)} runs")
    return ", ".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
