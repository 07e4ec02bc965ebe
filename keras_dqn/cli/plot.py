"""`keras-dqn plot`: draws learning curves of one run or several."""

from __future__ import annotations

import sys
from typing import Any

from keras_dqn.cli import log_commands
from keras_dqn.report import curves
from keras_dqn.report import drawing


def add_command(commands: Any) -> None:
    """Adds `plot` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "plot",
        description="Draws learning curves: the training score, and the evaluations "
        "beside it.\nNeeds: pip install 'keras_dqn[plot]'",
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help=log_commands.RUN_HELP)
    add(
        "--out",
        help="file to write, .png or .svg (default: curve.png in the directory of a "
        "single run, else in the current one)",
    )
    add("--force", action="store_true", help="replace a file that exists")
    add("--x", choices=[*curves.X_LABELS], default="steps", help="(default: steps)")
    add(
        "--metric",
        default=curves.SCORE,
        metavar="NAME",
        help="what to draw: a field of the records in metrics.jsonl, such as loss, "
        f"q_mean, td_error or env_steps_per_second (default: {curves.SCORE})",
    )
    add(
        "--group-by",
        metavar="SETTING",
        help="a color for each value of this setting, such as learning_rate, or of the "
        "backend; runs that differ only in the seed become their mean, with its 95 %% "
        "interval",
    )
    parser.set_defaults(
        run=lambda namespace: log_commands.run(parser, namespace, _plot)
    )


def _plot(namespace):
    log_commands.check_installed("plot", "matplotlib")
    runs = log_commands.read_runs(namespace.runs)
    path = log_commands.output(
        namespace.out,
        log_commands.folder_of(runs) / "curve.png",
        drawing.SUFFIXES,
        namespace.force,
    )
    metric = namespace.metric
    found = curves.curves_of(runs, metric, namespace.x, namespace.group_by)
    if not found:
        raise ValueError(f"No run has a value of {metric} yet")
    missing = len(runs) - sum(curve.runs for curve in found)
    if missing:
        text = f"Warning: {missing} of {len(runs)} runs have no value of {metric} yet"
        print(text, file=sys.stderr)
    games = dict.fromkeys(run.env_id for run in runs)
    drawing.draw(
        path,
        found,
        title=", ".join(games),
        x_label=curves.X_LABELS[namespace.x],
        y_label=curves.METRIC_LABELS.get(metric, metric.replace("_", " ")),
    )
    print(f"Wrote {path}")
