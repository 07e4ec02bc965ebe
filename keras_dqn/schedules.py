"""Schedules: how epsilon and beta change during a run.

A schedule is a function of the agent steps taken since the run began. So a resumed
run has the same values as one that never stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import numbers
from typing import Any

from keras_dqn import checks


@dataclasses.dataclass(frozen=True)
class PiecewiseSchedule:
    """Linear interpolation between endpoints, and a constant outside of them.

    Each segment is half-open, `[x1, x2)`. Before the first endpoint, and from the
    last one on, the value is `outside_value`. Without endpoints it is constant.

    Args:
        endpoints: Sequence of `(x, y)` pairs of finite numbers, `x` strictly
            increasing. Empty, or at least two pairs. In this package `x` is in agent
            steps, summed over all environments.
        outside_value: Finite float, the value outside every segment.

    Raises:
        ValueError: If `x` does not strictly increase, if there is exactly one
            endpoint, or if a value is not a finite number.

    Example:

    >>> epsilon = PiecewiseSchedule(((0, 1.0), (100, 0.5)), outside_value=0.1)
    >>> epsilon(0), epsilon(50), epsilon(100)
    (1.0, 0.75, 0.1)
    """

    endpoints: tuple[tuple[float, float], ...]
    outside_value: float

    def __post_init__(self) -> None:
        outside_value = checks.number("outside_value", self.outside_value)
        try:
            points = tuple(
                (_checked_x(x), checks.number("y", y)) for x, y in self.endpoints
            )
        except (TypeError, ValueError):
            rule = "a sequence of (x, y) pairs of finite numbers"
            raise checks.ArgumentError("endpoints", rule, self.endpoints) from None
        if len(points) == 1 or not _increases(points):
            rule = "empty, or at least two points with strictly increasing x"
            raise checks.ArgumentError("endpoints", rule, self.endpoints)
        object.__setattr__(self, "endpoints", points)
        object.__setattr__(self, "outside_value", outside_value)

    def __call__(self, x: float) -> float:
        """Returns the value at `x`, a float.

        Args:
            x: Finite number. In this package: agent steps taken so far.
        """
        checks.number("x", x)
        for (x1, y1), (x2, y2) in itertools.pairwise(self.endpoints):
            if x1 <= x < x2:
                value = y1 + (y2 - y1) * float((x - x1) / (x2 - x1))
                # Rounding could exceed the endpoints.
                return min(max(value, min(y1, y2)), max(y1, y2))
        return self.outside_value


def checked_endpoints(name: str, value: Any) -> tuple[tuple[int, float], ...]:
    """Returns the endpoints of a schedule of probabilities, as tuples.

    Args:
        name: The argument's name, for the message.
        value: List of pairs `(agent steps, probability)`. Agent steps are integers
            that strictly increase from 0. Empty, or at least two pairs.

    Raises:
        ArgumentError: If `value` is anything else.
    """
    points: tuple[tuple[int, float], ...] = ()
    is_schedule = isinstance(value, list | tuple) and len(value) != 1
    try:
        points = tuple(
            (
                checks.integer("x", x, 0, checks.LARGEST_COUNT),
                checks.probability("y", y),
            )
            for x, y in (value if is_schedule else ())
        )
    except (TypeError, ValueError):  # not pairs, or not such numbers
        is_schedule = False
    if not is_schedule or not _increases(points) or (points and points[0][0] != 0):
        raise checks.ArgumentError(
            name,
            "a list of at least two pairs [agent steps, value], or empty: integers "
            "that strictly increase from 0, and values from 0 to 1",
            value,
        )
    return points


def _increases(points):
    return all(x1 < x2 for (x1, _), (x2, _) in itertools.pairwise(points))


def _checked_x(x):
    number = checks.number("x", x)
    # An integer stays exact, which a float above 2**53 would not.
    return int(x) if isinstance(x, numbers.Integral) else number
