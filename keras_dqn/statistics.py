"""Statistics of scores: the interquartile mean, bootstrap intervals, comparisons.

Scores of games are few, skewed and noisy. Their interquartile mean is less sensitive
to outliers than the mean, and less noisy than the median. Needs SciPy.

Reference:
    - [Agarwal et al., 2021](https://arxiv.org/abs/2108.13264), "Deep Reinforcement
      Learning at the Edge of the Statistical Precipice".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_dqn import checks

RESAMPLES = 9_999


def iqm(scores: ArrayLike, axis: int = -1) -> Any:
    """Returns the interquartile mean: the mean without the lowest and highest quarter.

    `floor(n / 4)` scores are left out at each end.

    Args:
        scores: Array of finite numbers, not empty.
        axis: Integer, the axis of the scores. It is needed for several samples.

    Returns:
        Float, or a float64 array without `axis`.

    Raises:
        ValueError: If `scores` is empty, or has a value that is not finite.

    >>> iqm([1, 2, 3, 4, 5, 6, 7, 800])
    4.5
    """
    import scipy.stats  # here: it takes a second to import

    means = scipy.stats.trim_mean(_checked("scores", scores), 0.25, axis=axis)
    return float(means) if np.ndim(means) == 0 else means


def bootstrap_interval(
    scores: ArrayLike,
    statistic: Callable[..., Any],
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns a percentile bootstrap interval of a statistic.

    Equal arguments give equal intervals. For one score, or equal scores, both ends are
    the statistic itself.

    Args:
        scores: Array `(n,)` of finite numbers, not empty.
        statistic: Function of an array of scores that returns a number, such as
            `iqm` or `numpy.mean`. It is faster if it has a parameter `axis`.
        confidence: Float between 0 and 1.
        seed: Integer of at least 0, of the resampling.

    Returns:
        `(low, high)`, two floats.

    Raises:
        ValueError: If an argument is out of range, or a score is not finite.
    """
    return _interval([_checked("scores", scores, 1)], statistic, confidence, seed)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Returns the probability that a score of `x` is higher than one of `y`.

    It is P(X > Y) + P(X = Y) / 2, over all pairs of scores.

    Args:
        x: Array `(n,)` of finite numbers, not empty.
        y: Array `(m,)` of finite numbers, not empty.

    Returns:
        Float from 0 to 1.

    Raises:
        ValueError: If an array is empty, or has a value that is not finite.

    >>> probability_of_improvement([3, 4], [1, 3])
    0.875
    """
    return _improvement(_checked("x", x, 1), _checked("y", y, 1))


def improvement_interval(
    x: ArrayLike, y: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns a bootstrap interval of `probability_of_improvement`.

    Both samples are drawn again, each on its own.

    Args:
        x, y: See `probability_of_improvement`.
        confidence, seed: See `bootstrap_interval`.

    Returns:
        `(low, high)`, two floats.

    Raises:
        ValueError: See `bootstrap_interval`.
    """
    samples = [_checked("x", x, 1), _checked("y", y, 1)]
    return _interval(samples, _improvement, confidence, seed)


def _improvement(x, y):
    ordered = np.sort(y)
    lower = np.searchsorted(ordered, x, side="left")  # scores of `y` below each of `x`
    not_higher = np.searchsorted(ordered, x, side="right")
    return float((lower.sum() + not_higher.sum()) / (2 * len(x) * len(y)))


def _interval(samples, statistic, confidence, seed):
    import scipy.stats  # here: it takes a second to import

    confidence = checks.number("confidence", confidence, 0.0, 1.0, above=0.0)
    seed = checks.integer("seed", seed, minimum=0)
    found = scipy.stats.bootstrap(
        # SciPy refuses samples of one. Twice the same score is the same sample.
        [np.repeat(each, 2) if len(each) == 1 else each for each in samples],
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _checked(name, values, dimensions=None):
    array = np.asarray(values, np.float64)
    is_shaped = dimensions is None or array.ndim == dimensions
    if array.size == 0 or not is_shaped or not np.isfinite(array).all():
        raise checks.ArgumentError(name, "finite numbers, at least one", values)
    return array
