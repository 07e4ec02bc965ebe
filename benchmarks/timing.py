"""Timing, statistics and tables: what every benchmark here shares.

Programs that are compared run in turns, in one process or in two that wait for
each other, so that whatever else the machine does hits both alike. A ratio is
taken within each round, and its median over the rounds is reported: that holds
still on a machine where the times themselves do not.
"""

import dataclasses
import json
import pathlib
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Summary:
    """Median and quartiles of a series of measurements."""

    median: float
    low: float
    high: float
    count: int

    def text(self, scale=1.0, digits=2):
        """Returns `median (low to high)`, each multiplied by `scale`."""
        numbers = (self.median, self.low, self.high)
        median, low, high = (f"{number * scale:,.{digits}f}" for number in numbers)
        return f"{median} ({low} to {high})"


def summarize(values):
    """Returns the `Summary` of a sequence of floats."""
    low, median, high = np.percentile(np.asarray(values, np.float64), (25, 50, 75))
    return Summary(float(median), float(low), float(high), len(values))


def ratio(values, others):
    """Returns the `Summary` of `values[i] / others[i]`, round by round."""
    return summarize(np.asarray(values) / np.asarray(others))


def interleave(functions, rounds, repeats=1, warmup=3):
    """Times functions in turns.

    Every other round runs them in the opposite order, so that none always
    comes after the same one.

    Args:
        functions: Dictionary of callables without arguments. Each must have
            finished when it returns: results as NumPy see to that on any device.
        rounds: Integer, measurements per function.
        repeats: Integer, calls per measurement.
        warmup: Integer, calls of each beforehand, not measured: they compile.

    Returns:
        Dictionary of arrays, shape `(rounds,)`: seconds per call.
    """
    for function in functions.values():
        for _ in range(warmup):
            function()
    seconds = {name: np.zeros(rounds) for name in functions}
    for i in range(rounds):
        for name in list(functions)[:: 1 if i % 2 == 0 else -1]:
            function = functions[name]
            started = time.perf_counter()
            for _ in range(repeats):
                function()
            seconds[name][i] = (time.perf_counter() - started) / repeats
    return seconds


def timed(function, *args, **kwargs):
    """Calls the function. Returns seconds and its result."""
    started = time.perf_counter()
    result = function(*args, **kwargs)
    return time.perf_counter() - started, result


def markdown_table(columns, rows):
    """Returns a Markdown table that is also readable as it stands."""
    cells = [columns, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("| " + " | ".join(padded) + " |")
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def print_table(title, columns, rows):
    """Prints a title and a Markdown table."""
    print(f"\n{title}\n\n{markdown_table(columns, rows)}\n", flush=True)


def write_json(path, result):
    """Writes a result of dictionaries, lists, numbers, arrays and summaries."""
    if path is None:
        return
    text = json.dumps(result, indent=2, default=_plain)
    pathlib.Path(path).write_text(text + "\n")


def _plain(value):
    if isinstance(value, Summary):
        return dataclasses.asdict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a JSON file.")
