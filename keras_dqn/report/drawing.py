"""Draws learning curves into PNG and SVG files. Needs matplotlib."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence

from keras_dqn.report.curves import Curve
from keras_dqn.system import files

SUFFIXES = (".png", ".svg")
# Okabe and Ito's colors, which the color-blind can tell apart; without yellow.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_STYLES = ("-", "--", ":", "-.")  # for further curves
_SIZE_INCHES = (8.0, 4.5)
_PNG_DPI = 150
_MOST_IN_LEGEND = 20


def draw(
    path: pathlib.Path,
    curves: Sequence[Curve],
    title: str,
    x_label: str,
    y_label: str,
) -> None:
    """Writes a plot. Equal curves give equal files.

    A curve is a line, with a band for its interval if it is a mean over runs.
    Evaluations are dots with their intervals, in the color of the curve. A PNG has
    1200 x 675 pixels.

    Args:
        path: Path of a file that ends with .png or .svg. An older one is replaced.
        curves: Sequence of `Curve`.
        title: String.
        x_label, y_label: Strings, names of the axes.

    Raises:
        OSError: If it cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot, which keeps every figure

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    used: dict[int, int] = {}  # curves drawn of each group
    for curve in curves:
        style = _STYLES[(curve.group // len(COLORS) + used.get(curve.group, 0)) % 4]
        used[curve.group] = used.get(curve.group, 0) + 1
        _draw_curve(axes, curve, COLORS[curve.group % len(COLORS)], style)
    if any(curve.evaluations.x.size for curve in curves):
        label = "evaluations, 95 % interval"
        axes.plot([], [], "o", color="#666666", markersize=4.5, label=label)
    axes.set(title=_plain(title), xlabel=x_label, ylabel=y_label)
    _add_legend(figure, axes)
    _style(axes)
    files.replace(path, _bytes_of(figure, path.suffix))


def _bytes_of(figure, suffix):
    """Returns the figure as a file."""
    import matplotlib

    data = io.BytesIO()
    settings = {"svg.hashsalt": "keras_dqn", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        if suffix == ".svg":
            figure.savefig(data, format="svg", metadata={"Date": None})
        else:
            figure.savefig(data, format="png", dpi=_PNG_DPI)
    return data.getvalue()


def _style(axes):
    from matplotlib.ticker import EngFormatter

    axes.grid(alpha=0.3)
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_xlabel().endswith(("steps", "frames")):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_curve(axes, curve, color, style):
    line, points = curve.line, curve.evaluations
    label = _plain(curve.label)
    is_short = len(line.x) == 1  # a line of one point would not be seen
    marker = "." if is_short else None
    axes.plot(line.x, line.y, style, color=color, marker=marker, lw=1.4, label=label)
    if curve.runs > 1:
        look = {"color": color, "alpha": 0.2, "lw": 0, "zorder": 1}  # behind all lines
        axes.fill_between(line.x, line.low, line.high, **look)
    if points.x.size:
        spread = [points.y - points.low, points.high - points.y]
        axes.errorbar(
            points.x,
            points.y,
            spread,
            fmt="o",
            color=color,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            elinewidth=1.0,
            capsize=2.0,
            zorder=3,
        )


def _add_legend(figure, axes):
    """Adds a legend: in the axes for few curves, else beside them."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > _MOST_IN_LEGEND:
        more = len(labels) - _MOST_IN_LEGEND
        handles, labels = handles[:_MOST_IN_LEGEND], labels[:_MOST_IN_LEGEND]
        labels[-1] += f" and {more} more"
    if len(labels) <= 6 and max(map(len, labels)) <= 50:
        axes.legend(handles, labels, frameon=False, fontsize="small")
    else:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=2, fontsize="x-small"
        )


def _plain(text):
    """Returns text that matplotlib shows as it is: no formula, no hidden label."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
