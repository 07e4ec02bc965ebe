"""Prints the scores of evaluations: of one network in lines, of several in a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from keras_dqn import protocols
from keras_dqn import statistics
from keras_dqn.evaluation import Evaluation
from keras_dqn.monitor.text import encodable
from keras_dqn.progress import decimals

STATISTICS = {"mean": np.mean, "median": np.median, "IQM": statistics.iqm}


def description(result: Evaluation, of_games: bool = True) -> str:
    """Returns the scores of one network as lines of text.

    Args:
        result: `Evaluation`.
        of_games: Boolean, whether the scores are of whole games, which published
            scores are.
    """
    digits = decimals(float(np.abs(result.scores).max()))
    lines = [
        f"{result.env_id}: mean score {result.mean:.{digits}f} over "
        f"{len(result.scores)} episodes, best {result.scores.max():g}, worst "
        f"{result.scores.min():g}, epsilon {result.epsilon:g}"
    ]
    for name, statistic in STATISTICS.items():
        lines.append(f"  {name:<8} {_with_interval(result, statistic)}")
    human = protocols.human_normalized(result.env_id, result.mean)
    if human is not None and of_games:
        lines.append(f"  human    {human:.2f} (0 is a random player, 1 a human)")
    steps, frames = int(result.lengths.sum()), int(result.frames.sum())
    lines.append(f"  played   {steps:,} agent steps, {frames:,} frames")
    return "\n".join(lines)


def comparison(results: Sequence[tuple[str, Evaluation]], of_games: bool = True) -> str:
    """Returns a table of several networks.

    Args:
        results: Sequence of `(name, Evaluation)`.
        of_games: See `description`.

    Returns:
        Text. The last column is the probability that a game of the network scores
        more than one of the first network (Agarwal et al., 2021).
    """
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("network", overflow="fold")
    for head in (*STATISTICS, "human", "games", "better than the first"):
        table.add_column(head, justify="right")
    first = results[0][1]
    for name, result in results:
        human = protocols.human_normalized(result.env_id, result.mean)
        row = [_with_interval(result, statistic) for statistic in STATISTICS.values()]
        row.append("-" if human is None or not of_games else f"{human:.2f}")
        row.append(str(len(result.scores)))
        row.append("-" if result is first else _improvement(result, first))
        table.add_row(Text(name), *row)
    rules = f"{first.env_id}, epsilon {first.epsilon:g}, 95 % intervals over games"
    if any(result.env_id != first.env_id for _, result in results):
        rules = f"epsilon {first.epsilon:g}, 95 % intervals over games"
    width = max(100, Console().width)
    with io.StringIO() as text:
        Console(file=text, width=width).print(table)
        found = f"{rules}\n{text.getvalue().rstrip()}"
    # A file or a pipe may have an encoding without lines.
    encoding = sys.stdout.encoding or "ascii"
    if encodable(found, encoding) != found:
        found = encodable(found.replace("\u2500", "-"), encoding)
    return found


def _with_interval(result, statistic):
    low, high = statistics.bootstrap_interval(result.scores, statistic)
    digits = decimals(float(np.abs(result.scores).max()))
    value = float(statistic(result.scores))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _improvement(result, first):
    value = statistics.probability_of_improvement(result.scores, first.scores)
    low, high = statistics.improvement_interval(result.scores, first.scores)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
