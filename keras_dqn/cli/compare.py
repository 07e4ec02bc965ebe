"""`keras-dqn compare`: a table of the last evaluations of several runs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from keras_dqn import statistics
from keras_dqn.cli import log_commands
from keras_dqn.monitor import text
from keras_dqn.progress import decimals
from keras_dqn.report.curves import labels_of
from keras_dqn.report.reading import RunLog

WIDTH = 200  # characters where the output is no terminal
WIDE = 120  # characters at which both ends of an interval are in one line
# Options of the environments on which scores depend.
_RULES = (
    "repeat_action_probability",
    "frame_skip",
    "noop_max",
    "max_episode_frames",
    "full_action_space",
)


def add_command(commands: Any) -> None:
    """Adds `compare` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "compare",
        description="Compares the last evaluations of runs: mean, median and "
        "interquartile mean (IQM)\nof the scores, each with its 95 % bootstrap "
        "interval, and the probability that a\ngame has a higher score than one of the "
        "first run (equal ones count half).\n\nReference: Agarwal et al., 2021, "
        "https://arxiv.org/abs/2108.13264",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN_OR_FILE", help=log_commands.RUN_HELP
    )
    parser.set_defaults(
        run=lambda namespace: log_commands.run(parser, namespace, _compare)
    )


def _compare(namespace):
    runs = log_commands.read_runs(namespace.runs)
    evaluated = [run for run in runs if run.evaluations]
    missing = [str(run.path) for run in runs if not run.evaluations]
    if missing:
        print(f"Without an evaluation: {', '.join(missing)}", file=sys.stderr)
    if not evaluated:
        raise ValueError("No run has an evaluation in its log")
    for line in _differences(evaluated):
        print(f"Warning: {line}", file=sys.stderr)
    _show(evaluated)


def _differences(runs):
    """Yields lines on what makes scores hard to compare."""
    games = dict.fromkeys(run.env_id for run in runs)
    epsilons = dict.fromkeys(f"{run.evaluations[-1].epsilon:g}" for run in runs)
    if len(games) > 1:
        yield f"the runs play different games: {', '.join(games)}"
    if len(epsilons) > 1:
        yield f"the evaluations have different epsilons: {', '.join(epsilons)}"
    options = [run.info.get("env_options", {}) for run in runs]
    names = [
        name
        for name in _RULES
        if any(each.get(name) != options[0].get(name) for each in options)
    ]
    if names:
        yield f"the games have different rules: {', '.join(names)}"


def _show(runs):
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    heads = ["run", "mean", "median", "IQM", "P(better)"]
    heads += ["games", "epsilon", "agent\nsteps", "hours"]
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    between = " to " if console.width >= WIDE else "\n"
    names = labels_of(runs)
    for name, run in zip(names, runs, strict=True):
        row = [name, *_row(run, runs[0], between)]
        cells = [text.encodable(cell, console.encoding) for cell in row]
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print("Below a value is its 95 % bootstrap interval.", highlight=False)
    if len(runs) > 1:
        name = text.encodable(names[0], console.encoding)
        line = (
            f"P(better): probability that a game has a higher score than one of {name}"
        )
        console.print(Text(line))


def _row(run: RunLog, first: RunLog, between: str) -> list[str]:
    """Returns the cells of a run. An interval is in the line below its value."""
    last = run.evaluations[-1]
    row = []
    digits = decimals(float(np.abs(last.scores).max()))
    for statistic in (np.mean, np.median, statistics.iqm):
        interval = statistics.bootstrap_interval(last.scores, statistic)
        value = float(statistic(last.scores))
        row.append(_cell(value, interval, between, digits))
    if run is first:
        row.append(text.DASH)
    else:
        scores = last.scores, first.evaluations[-1].scores
        better = statistics.probability_of_improvement(*scores)
        interval = statistics.improvement_interval(*scores)
        row.append(_cell(better, interval, between))
    hours = run.last("hours")
    row += [f"{len(last.scores):,}", text.number(last.epsilon, "g")]
    row += [f"{last.env_steps:,}", text.number(hours, ".2f" if hours >= 1 else ".3f")]
    return row


def _cell(value, interval, between, digits=2):
    value, low, high = (f"{each:.{digits}f}" for each in (value, *interval))
    return value if low == high == value else f"{value}\n{low}{between}{high}"
