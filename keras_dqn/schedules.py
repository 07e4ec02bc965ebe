"""Numbers that change while a run goes on: exploration and importance sampling.

A schedule is a function of the absolute number of agent steps, so a resumed run
reads the same values as one that was never stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import numbers


@dataclasses.dataclass(frozen=True)
class PiecewiseSchedule:
    """Straight lines between endpoints, and one constant everywhere else.

    Each segment is half-open, `[x1, x2)`: at the last endpoint and after it, and
    before the first endpoint, the schedule is `outside_value`. With no endpoints
    it is constant.

    Args:
        endpoints: Sequence of `(x, y)` pairs of finite numbers, `x` strictly
            increasing. None, or at least two. In this package `x` is in agent
            steps, summed over all environments.
        outside_value: Finite float, the value outside every segment.

    Raises:
        ValueError: If `x` does not strictly increase, if there is exactly one
            endpoint (it spans no segment, so its `y` would be ignored), or if
            anything is not a finite number.

    Example:

    >>> epsilon = PiecewiseSchedule(((0, 1.0), (100, 0.5)), outside_value=0.1)
    >>> epsilon(0), epsilon(50), epsilon(100)
    (1.0, 0.75, 0.1)
    """

    endpoints: tuple[tuple[float, float], ...]
    outside_value: float

    def __post_init__(self):
        endpoints = tuple(_endpoint(pair) for pair in _pairs(self.endpoints))
        outside_value = float(_finite("outside_value", self.outside_value))
        if len(endpoints) == 1:
            raise ValueError(
                "`endpoints` must be empty or hold at least two points, because "
                f"one point spans no segment. Received: endpoints={endpoints}"
            )
        for (x1, _), (x2, _) in itertools.pairwise(endpoints):
            if not x1 < x2:
                raise ValueError(
                    "`endpoints` must have strictly increasing x. "
                    f"Received: {x2} after {x1}, endpoints={endpoints}"
                )
        object.__setattr__(self, "endpoints", endpoints)
        object.__setattr__(self, "outside_value", outside_value)

    def __call__(self, x):
        """Returns the value at `x`, a float.

        Args:
            x: Number, not NaN. In this package: agent steps taken so far.
        """
        if not _is_real(x) or x != x:
            raise ValueError(f"`x` must be a number. Received: x={x!r}")
        for (x1, y1), (x2, y2) in itertools.pairwise(self.endpoints):
            if x1 <= x < x2:
                value = y1 + (y2 - y1) * float((x - x1) / (x2 - x1))
                # Rounding must not carry a probability past its endpoints.
                return min(max(value, min(y1, y2)), max(y1, y2))
        return self.outside_value

    def to_config(self):
        """Returns a dictionary that JSON can hold; see `from_config`."""
        return {
            "endpoints": [list(pair) for pair in self.endpoints],
            "outside_value": self.outside_value,
        }

    @classmethod
    def from_config(cls, config):
        """Returns the schedule that `to_config` described."""
        return cls(**config)


def _pairs(endpoints):
    try:
        return tuple(endpoints)
    except TypeError:
        raise ValueError(
            "`endpoints` must be a sequence of (x, y) pairs. "
            f"Received: endpoints={endpoints!r}"
        ) from None


def _endpoint(pair):
    try:
        x, y = pair
    except (TypeError, ValueError):
        raise ValueError(
            f"`endpoints` must be a sequence of (x, y) pairs. Received: {pair!r}"
        ) from None
    x = _finite("endpoints", x)
    whole = isinstance(x, numbers.Integral)
    return (int(x) if whole else float(x)), float(_finite("endpoints", y))


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _finite(name, value):
    # Comparisons, unlike `math.isfinite`, also take integers of any size.
    if not _is_real(value) or not -math.inf < value < math.inf:
        raise ValueError(
            f"`{name}` must be made of finite numbers. Received: {value!r}"
        )
    return value
