"""Series over a whole run in bounded memory, as lines of small bars, and the past."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence

_SIZE = 256  # even
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-~=+*#"


class History:
    """A series over a whole run: means of equal spans, at most 256 of them.

    When it is full, neighbors are merged and the spans become twice as long.
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._span = 1  # values in a mean
        self._sum, self._count = 0.0, 0  # of the span that is not complete yet

    def add(self, value: float | None) -> None:
        """Adds a value. `None`, NaN and infinity are left out."""
        if value is None or not math.isfinite(value):
            return
        self._sum += value
        self._count += 1
        if self._count < self._span:
            return
        self._means.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._means) == _SIZE:
            even, odd = self._means[::2], self._means[1::2]
            self._means = [(a + b) / 2 for a, b in zip(even, odd, strict=True)]
            self._span *= 2

    def points(self, largest: int) -> list[float]:
        """Returns the series as at most `largest` floats, the oldest first."""
        means = list(self._means)
        if self._count:
            means.append(self._sum / self._count)
        count = min(len(means), max(largest, 1))
        edges = [i * len(means) // count for i in range(count + 1)] if count else []
        return [
            sum(means[first:last]) / (last - first)
            for first, last in zip(edges, edges[1:], strict=False)
        ]


def bars(points: Sequence[float], is_ascii: bool = False) -> str:
    """Returns a line of bars, one character for each point.

    Args:
        points: Finite floats. The lowest gets the smallest bar, the highest the
            largest.
        is_ascii: Boolean, whether to use ASCII characters instead of blocks.
    """
    if not points:
        return ""
    ramp = _ASCII_BARS if is_ascii else _BARS
    low, high = min(points), max(points)
    if high == low:
        return ramp[3] * len(points)
    scale = (len(ramp) - 1) / (high - low)
    return "".join(ramp[round((point - low) * scale)] for point in points)


@dataclasses.dataclass
class Past:
    """What a console knows of a run before its own first record.

    Attributes:
        seconds: Float, seconds of sampling and training, or `None` if unknown.
        scores: `History` of the mean score of the last 100 episodes.
        losses: `History` of the loss.
    """

    seconds: float | None = 0.0
    scores: History = dataclasses.field(default_factory=History)
    losses: History = dataclasses.field(default_factory=History)


def read_past(path: str | os.PathLike[str] | None, env_steps: int) -> Past:
    """Reads the past of a run from its log.

    Args:
        path: Path of a file that `JsonLines` wrote, or `None`.
        env_steps: Int, the agent steps at which the run is resumed.

    Returns:
        `Past`. If the file or its times are missing, `seconds` is `None`.
    """
    past = Past(seconds=None if env_steps else 0.0)
    if path is None or not env_steps:
        return past
    try:
        with open(path, "rb") as file:
            for line in file:
                if b'"metrics"' in line[:30]:
                    _add(past, line, env_steps)
    except OSError:  # the log is not needed to train
        pass
    return past


def _add(past, line, env_steps):
    """Adds a line of type "metrics"; leaves out what is damaged or later."""
    try:
        values = json.loads(line)
        if values["env_steps"] >= env_steps:
            return
        past.scores.add(values.get("score_mean"))
        past.losses.add(values.get("loss"))
        seconds = values.get("training_seconds")
        past.seconds = None if seconds is None else float(seconds)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
