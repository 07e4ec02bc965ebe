"""Rates: agent steps and updates per second.

One iteration is too short for a precise rate, so every rate is a sum of steps
divided by a sum of seconds.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_dqn.progress import Progress


class IntervalRates:
    """Rates over an interval, in seconds of sampling and training.

    `add` adds a record; `take` returns the rates and begins a new interval.
    """

    def __init__(self) -> None:
        self._updates_before: int | None = None
        self._clear()

    def add(self, progress: Progress) -> None:
        """Adds one record."""
        self._env_steps += progress.env_steps_done - progress.env_steps
        self._seconds += progress.seconds
        # `updates` is a running total, so the updates of the first record are
        # unknown. It is left out, with its seconds.
        if self._updates_before is not None:
            self._updates += progress.updates - self._updates_before
            self._update_seconds += progress.seconds
        self._updates_before = progress.updates

    def take(self) -> tuple[float | None, float | None]:
        """Returns agent steps and updates per second, and begins a new interval.

        Returns:
            Tuple `(env_steps_per_second, updates_per_second)` of floats; `None`
            where no time was measured.
        """
        rates = (
            _ratio(self._env_steps, self._seconds),
            _ratio(self._updates, self._update_seconds),
        )
        self._clear()
        return rates

    def _clear(self):
        self._env_steps = self._updates = 0
        self._seconds = self._update_seconds = 0.0


class SlidingRate:
    """Rates over the last `window` seconds.

    Args:
        window: Float, seconds. Rates are averages over this time.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._points: collections.deque[tuple[float, ...]] = collections.deque()

    def add(self, seconds: float, *amounts: float) -> None:
        """Adds the running totals `amounts` at time `seconds`, not before the last."""
        self._points.append((seconds, *amounts))
        # The newest point before the window is kept as its beginning.
        while len(self._points) > 2 and self._points[1][0] < seconds - self._window:
            self._points.popleft()

    def clear(self) -> None:
        """Removes all points."""
        self._points.clear()

    def rates(self) -> tuple[float, ...] | None:
        """Returns a rate for each amount, or `None` before there are two points."""
        if len(self._points) < 2:
            return None
        first, last = self._points[0], self._points[-1]
        seconds = last[0] - first[0]
        if seconds <= 0:
            return None
        return tuple(
            (b - a) / seconds for a, b in zip(first[1:], last[1:], strict=True)
        )


def seconds_left(
    progress: Progress, env_steps_per_second: float | None
) -> float | None:
    """Returns the seconds left until the end of the run, or `None` without a rate."""
    if not env_steps_per_second:
        return None
    left = max(progress.total_env_steps - progress.env_steps_done, 0)
    return left / env_steps_per_second


def _ratio(amount, seconds):
    return amount / seconds if seconds > 0 else None
