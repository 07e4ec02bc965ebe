"""Statistics of scores. Every expected number was worked out by hand."""

import warnings

import numpy as np
import pytest

from keras_dqn.statistics import bootstrap_interval
from keras_dqn.statistics import improvement_interval
from keras_dqn.statistics import iqm
from keras_dqn.statistics import probability_of_improvement

pytestmark = pytest.mark.numpy


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([8, 1, 7, 2, 6, 3, 5, 4], 4.5),  # of 3, 4, 5 and 6
        ([0, 1, 2, 3, 1000], 2.0),  # one left out at each end
        ([1, 2, 6], 3.0),  # none left out
        ([5], 5.0),
        ([2, 2, 2, 2], 2.0),
    ],
)
def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end(scores, expected):
    assert iqm(scores) == expected


def test_the_interquartile_mean_of_several_samples():
    scores = np.array([[0, 1, 3, 90], [-90, 5, 5, 8]])
    assert iqm(scores).tolist() == [2.0, 5.0]
    assert iqm(scores.T, axis=0).tolist() == [2.0, 5.0]


def test_a_bootstrap_interval_of_two_scores():
    """Resampled means: 0 and 1 in a quarter of the draws each, 0.5 in half of them.

    Their largest score: 0 in a quarter of the draws, else 1.
    """
    assert bootstrap_interval([0, 1], np.mean) == (0.0, 1.0)
    assert bootstrap_interval([0, 1], np.mean, confidence=0.4) == (0.5, 0.5)
    assert bootstrap_interval([0, 1], lambda x: x.max(), confidence=0.6) == (0.0, 1.0)


@pytest.mark.parametrize("statistic", [np.mean, np.median, iqm])
def test_a_bootstrap_interval_of_one_score_or_equal_scores(statistic):
    assert bootstrap_interval([7.5], statistic) == (7.5, 7.5)
    assert bootstrap_interval([3.0] * 10, statistic) == (3.0, 3.0)


def test_a_bootstrap_interval_is_that_of_the_normal_approximation_for_many_scores():
    scores = np.random.default_rng(0).normal(10.0, 2.0, 400)
    half = 1.96 * scores.std(ddof=1) / 20.0
    low, high = bootstrap_interval(scores, np.mean)
    assert low == pytest.approx(scores.mean() - half, abs=0.02)
    assert high == pytest.approx(scores.mean() + half, abs=0.02)


def test_the_seed_determines_the_interval():
    scores = np.random.default_rng(0).normal(size=30)
    first = bootstrap_interval(scores, iqm)
    assert first == bootstrap_interval(scores, iqm, seed=0)
    assert first != bootstrap_interval(scores, iqm, seed=1)
    assert first[0] < iqm(scores) < first[1]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([3, 4], [1, 3, 5], 3.5 / 6),  # 1 + 0.5 + 0 and 1 + 1 + 0, of 6 pairs
        ([1, 2, 3], [2, 2], 0.5),
        ([5], [1], 1.0),
        ([1], [5], 0.0),
        ([2, 2], [2, 2, 2], 0.5),
    ],
)
def test_the_probability_of_improvement_counts_ties_half(x, y, expected):
    assert probability_of_improvement(x, y) == pytest.approx(expected, abs=1e-15)
    assert probability_of_improvement(y, x) == pytest.approx(1 - expected, abs=1e-15)


def test_the_interval_of_the_probability_of_improvement():
    """Against one score of 0.5, [0, 1] gives 0, 0.5, 0.5 or 1, equally likely."""
    assert improvement_interval([0, 1], [0.5]) == (0.0, 1.0)
    assert improvement_interval([0, 1], [0.5], confidence=0.4) == (0.5, 0.5)
    assert improvement_interval([5, 6], [1, 2]) == (1.0, 1.0)
    assert improvement_interval([3], [3]) == (0.5, 0.5)


@pytest.mark.parametrize("scores", [[], [1.0, np.nan], [np.inf], [[1.0], [2.0]]])
def test_scores_that_have_no_statistics_are_refused(scores):
    with pytest.raises(ValueError, match="scores"):
        bootstrap_interval(scores, np.mean)
    with pytest.raises(ValueError, match="`x`"):
        probability_of_improvement(scores, [1])
    with pytest.raises(ValueError, match="`y`"):
        improvement_interval([1], scores)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_interval([1, 2], np.mean, confidence=95)
    with pytest.raises(ValueError, match="seed"):
        bootstrap_interval([1, 2], np.mean, seed=-1)
