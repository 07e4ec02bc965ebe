"""The charts of a report, as data for plotly.js.

A chart is a dictionary with `title`, `traces` and `layout`. Colors are names of CSS
variables, such as `"--c0"`, so that the page has them in light and dark. There is no
text from files in them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_dqn.report import curves
from keras_dqn.report.reading import RunLog

MOST_POINTS = 2_000  # of a line; of longer ones every second, third, ... is drawn
PARTS = ("first", "second", "third", "last")  # quarters, whose scores are compared
_MOST_BINS = 40
_STEPS = {"title": {"text": "agent steps"}, "tickformat": "~s", "hoverformat": ",.0f"}
_HOURS = {"title": {"text": "hours of training"}, "hoverformat": ".2f"}


def charts_of(run: RunLog) -> list[dict[str, Any]]:
    """Returns the charts of a run, without those that would be empty.

    Args:
        run: `RunLog`.
    """
    charts = [
        _chart("Score", _score(run), "score"),
        _chart("Loss", [_line(run, "loss", "--c0")], "loss"),
        _chart("Gradient norm", [_line(run, "gradient_norm", "--c0")], "L2 norm"),
        _chart("Q(s, a): mean and standard deviation", _q_values(run), "Q(s, a)"),
        _chart(
            "Epsilon and beta",
            [_line(run, "epsilon", "--c0"), _line(run, "beta", "--c1")],
            "value",
        ),
        _chart("Throughput", _throughput(run), "agent steps per second", _HOURS),
        _distribution_chart(run),
    ]
    return [chart for chart in charts if chart["traces"]]


def stride(run: RunLog) -> int:
    """Returns how many records there are for each one that is drawn."""
    return max(1, math.ceil(len(run.metrics.get("env_steps", ())) / MOST_POINTS))


def distributions(run: RunLog) -> list[dict[str, Any]]:
    """Returns outlines of histograms: the share of episodes by their score.

    Of the training episodes in each quarter of the agent steps, and of the last
    evaluation. All have the same bins.

    Args:
        run: `RunLog`.

    Returns:
        List of traces. `x` are the edges of the bins.
    """
    samples = []
    for part, ordinal in enumerate(PARTS):
        start, stop = (run.env_steps * (part + i) / len(PARTS) for i in (0, 1))
        is_in = (run.episode_env_steps >= start) & (run.episode_env_steps < stop)
        if ordinal == PARTS[-1]:
            is_in |= run.episode_env_steps == stop
        name = f"training, {ordinal} quarter"
        samples.append((name, f"--p{part}", run.episode_scores[is_in]))
    if run.evaluations:
        samples.append(("last evaluation", "--c1", run.evaluations[-1].scores))
    samples = [each for each in samples if np.isfinite(each[2]).any()]
    if not samples:
        return []
    edges = _edges(np.concatenate([scores for *_, scores in samples]))
    return [_outline(*sample, edges) for sample in samples]


def _outline(name, color, scores, edges):
    scores = scores[np.isfinite(scores)]
    shares = np.histogram(scores, edges)[0] / len(scores)
    return {
        "name": f"{name} ({len(scores):,})",
        "x": edges.tolist(),
        "y": [*shares.tolist(), 0.0],
        "mode": "lines",
        "line": {"shape": "hv", "color": color, "width": 2},
    }


def _edges(scores):
    """Returns edges of equal bins. Whole scores are in the middle of their bins."""
    scores = scores[np.isfinite(scores)]
    low, high = scores.min(), scores.max()
    if (scores == np.round(scores)).all() and high - low < 1e9:
        width = math.ceil((high - low + 1) / _MOST_BINS)
        count = math.ceil((high - low + 1) / width)
        return low - 0.5 + width * np.arange(count + 1)
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, _MOST_BINS + 1)


def _chart(title, traces, y_title, x_axis=_STEPS):
    return {
        "title": title,
        "traces": [each for each in traces if each is not None],
        "layout": {
            "xaxis": x_axis,
            "yaxis": {"title": {"text": y_title}, "hoverformat": ".5~g"},
        },
    }


def _distribution_chart(run):
    traces = distributions(run)
    title = f"Distribution of scores of {run.score_units}"
    chart = _chart(title, traces, "share of episodes", {"title": {"text": "score"}})
    if traces:
        width = traces[0]["x"][1] - traces[0]["x"][0]
        chart["layout"]["xaxis"] = {"title": {"text": f"score, in bins of {width:g}"}}
    chart["layout"]["yaxis"] |= {"tickformat": ".0%", "hoverformat": ".1%"}
    return chart


def _score(run):
    line = _line(run, curves.SCORE, "--c0", f"mean of the last 100 {run.score_units}")
    found = curves.evaluation_points(run)
    if not found.x.size:
        return [line]
    evaluations = {
        "name": "evaluation, mean and 95 % interval",
        "x": found.x.tolist(),
        "y": found.y.tolist(),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": (found.high - found.y).tolist(),
            "arrayminus": (found.y - found.low).tolist(),
            "color": "--c1",
        },
        "mode": "markers",
        "marker": {"color": "--c1", "size": 8},
    }
    return [line, evaluations]


def _q_values(run):
    line = _line(run, "q_mean", "--c0", "mean")
    if line is None or "q_std" not in run.metrics:
        return [line]
    mean, std = (_thinned(run, name) for name in ("q_mean", "q_std"))
    ends = [
        {
            **line,
            "name": "mean ± standard deviation",
            "y": _values(y),
            "line": {"width": 0},
            "showlegend": fill is not None,
            "hoverinfo": "skip",
            "fill": fill,
            "fillcolor": "--band",
        }
        for y, fill in ((mean - std, None), (mean + std, "tonexty"))
    ]
    return [*ends, line]


def _throughput(run):
    line = _line(run, "env_steps_per_second", "--c0")
    if line is not None:
        line["x"] = _values(_thinned(run, "hours"))
    return [line]


def _line(run, name, color, label=None):
    """Returns the trace of a metric against agent steps, or `None` without values."""
    column = run.metrics.get(name, np.array([]))
    if not np.isfinite(column).any():
        return None
    return {
        "name": label or curves.METRIC_LABELS.get(name, name),
        "x": _values(_thinned(run, "env_steps")),
        "y": _values(_thinned(run, name)),
        "mode": "lines" if np.isfinite(column).sum() > 1 else "markers",
        "line": {"color": color, "width": 2},
    }


def _thinned(run, name):
    column, every = run.metrics[name], stride(run)
    return column if every == 1 else np.append(column[:-1:every], column[-1])


def _values(column):
    """Returns a list for JSON: `None` for NaN, whole numbers without a point."""
    return [
        None if math.isnan(x) else int(x) if x.is_integer() else x
        for x in column.tolist()
    ]
