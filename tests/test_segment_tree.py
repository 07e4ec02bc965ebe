"""The trees against a list of leaves which is summed exactly."""

import fractions
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from keras_dqn.replay import MinTree
from keras_dqn.replay import SumTree
from tests.reference_replay import NaiveTree

pytestmark = pytest.mark.numpy


class NarrowSumTree(SumTree):
    """Many levels for few leaves."""

    fanout = 4
    max_top = 4


class NarrowMinTree(MinTree):
    fanout = 4
    max_top = 4


TREES = [(SumTree, MinTree), (NarrowSumTree, NarrowMinTree)]
SUM_TREES = [SumTree, NarrowSumTree]


def sum_tree_of(leaves, tree_class=SumTree):
    tree = tree_class(len(leaves))
    tree[np.arange(len(leaves))] = leaves
    return tree


@pytest.mark.parametrize("tree_class", SUM_TREES)
@pytest.mark.parametrize(
    ("leaves", "points", "expected"),
    [
        (
            [1, 2, 3, 4],
            [0, 0.5, 1, 2.9, 3, 5.9, 6, 9.99, 10],
            [0, 0, 1, 1, 2, 2, 3, 3, 3],
        ),
        ([0, 2, 0, 4], [0, 1.9, 2, 5, 6], [1, 1, 3, 3, 3]),
        ([1, 2, 0, 0], [0, 1, 2.99, 3], [0, 1, 1, 1]),
        ([0, 0, 0, 0, 0, 7, 0, 0, 0], [0, 6.5, 7], [5, 5, 5]),
    ],
)
def test_a_prefix_sum_finds_the_leaf_to_its_right_and_never_an_empty_one(
    tree_class, leaves, points, expected
):
    found = sum_tree_of(leaves, tree_class).find(points)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int64


@pytest.mark.parametrize("point", [11.0, 10.001, -1e-300, -1.0, np.nan, np.inf])
def test_a_prefix_sum_out_of_range_is_refused(point):
    tree = sum_tree_of([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match=r"from 0 to the total, 10\.0\. Received: "):
        tree.find([0.0, point])


@pytest.mark.parametrize("tree_class", SUM_TREES)
def test_an_empty_tree_has_nothing_to_find(tree_class):
    with pytest.raises(ValueError, match="All leaves are empty"):
        tree_class(100).find([0.0])


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_found_indices_have_the_shape_of_the_prefix_sums(shape):
    assert sum_tree_of([1.0, 2.0]).find(np.ones(shape)).shape == shape


@pytest.mark.parametrize("capacity", [0, -1, 2.0, True, None, "8"])
def test_a_capacity_that_is_no_positive_integer_is_refused(capacity):
    with pytest.raises(ValueError, match="`capacity` must be an integer"):
        SumTree(capacity)


@pytest.mark.parametrize("tree_class", [SumTree, MinTree])
@pytest.mark.parametrize("index", [-1, 5, 2**40])
def test_an_index_outside_the_leaves_is_refused_and_nothing_is_written(
    tree_class, index
):
    tree = tree_class(5)
    before = tree.leaves.copy()
    with pytest.raises(IndexError, match=f"from 0 to 4. Received: {index}"):
        tree[[0, index]] = 1.0
    with pytest.raises(IndexError, match=f"from 0 to 4. Received: {index}"):
        tree[[0, index]]
    np.testing.assert_array_equal(tree.leaves, before)


@pytest.mark.parametrize("indices", [[0.0], [True], ["0"]])
def test_indices_that_are_no_integers_are_refused(indices):
    with pytest.raises(TypeError, match="`indices` must be integers"):
        SumTree(5)[indices] = 1.0


@pytest.mark.parametrize("value", [-1e-300, -1.0, np.nan, np.inf, 1e308])
def test_a_leaf_that_is_negative_or_would_break_the_total_is_refused(value):
    tree = SumTree(4)
    tree[1] = 5.0
    with pytest.raises(ValueError, match="Leaves must be finite"):
        tree[[0, 1]] = [1.0, value]
    np.testing.assert_array_equal(tree.leaves, [0.0, 5.0, 0.0, 0.0])


def test_a_minimum_of_nan_is_refused():
    with pytest.raises(ValueError, match="Leaves must not be NaN"):
        MinTree(2)[0] = np.nan


def test_the_last_value_counts_if_an_index_is_repeated():
    sums, minima = SumTree(5000), MinTree(5000)
    for tree in (sums, minima):
        tree[[7, 8, 7, 4999, 7]] = [1.0, 2.0, 16.0, 4.0, 32.0]
        np.testing.assert_array_equal(tree[[7, 8, 4999]], [32.0, 2.0, 4.0])
    assert sums.total == 38.0
    assert minima.min == 2.0


def test_leaves_can_be_read_but_not_written_past_the_tree():
    tree = sum_tree_of([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        tree.leaves[0] = 5.0
    tree[0] = 3.0
    np.testing.assert_array_equal(tree.leaves, [3.0, 2.0])


def test_leaves_are_float64_whatever_is_written():
    tree = SumTree(2)
    tree[0] = np.float32(0.1)
    tree[1] = np.float64(0.1)
    assert tree.leaves.dtype == np.float64
    np.testing.assert_array_equal(tree.leaves, [float(np.float32(0.1)), 0.1])


def test_a_valid_tree_is_found_valid_and_a_damaged_one_is_not():
    tree = sum_tree_of(np.ones(5000))
    tree.check_valid()
    tree.levels[1][3] += 1.0
    with pytest.raises(ValueError, match=r"Node 3 at height 1 .* 32\.0.*Received: 33"):
        tree.check_valid()
    tree = sum_tree_of(np.ones(5000))
    tree.levels[0][-1] = 1.0
    with pytest.raises(ValueError, match="padding"):
        tree.check_valid()
    tree = sum_tree_of(np.ones(5000))
    tree.levels[0][0] = -1.0
    with pytest.raises(ValueError, match="at least 0"):
        tree.check_valid()


@pytest.mark.parametrize("tree_class", SUM_TREES)
def test_nodes_built_at_once_equal_those_built_step_by_step_bit_for_bit(tree_class):
    rng = np.random.default_rng(0)
    leaves = rng.random(5000)
    at_once = sum_tree_of(leaves, tree_class)
    step_by_step = tree_class(5000)
    for indices in np.split(rng.permutation(5000), 500):
        step_by_step[indices] = 123.0
        step_by_step[indices] = leaves[indices]
    for level, other in zip(at_once.levels, step_by_step.levels, strict=True):
        np.testing.assert_array_equal(level, other)


def test_the_total_does_not_drift_over_many_updates():
    rng = np.random.default_rng(1)
    tree = sum_tree_of(rng.random(3000))
    for _ in range(3000):
        tree[rng.integers(0, 3000, 32)] = 10.0 ** rng.uniform(-12, 12, 32)
    assert tree.total == pytest.approx(math.fsum(tree.leaves), rel=1e-13)
    tree[np.arange(1, 3000)] = 0.0
    assert tree.total == tree[0]


@pytest.mark.parametrize("tree_class", SUM_TREES)
def test_rounding_never_leads_to_an_empty_leaf(tree_class):
    rng = np.random.default_rng(2)
    for _ in range(300):
        leaves = rng.random(1500) ** 8 * (rng.random(1500) < 0.3)
        leaves[rng.integers(1, 1500) :] = 0.0
        leaves[0] = 0.1
        tree = sum_tree_of(leaves, tree_class)
        sums = np.cumsum(leaves)
        sums = np.minimum(np.concatenate([[0.0, tree.total], sums]), tree.total)
        points = np.concatenate([sums, np.nextafter(sums, 0), np.nextafter(sums, 9e9)])
        found = tree.find(np.minimum(points, tree.total))
        assert np.all(leaves[found] > 0.0)
        assert leaves[found[1] + 1 :].sum() <= 1e-13 * tree.total  # the end, found


@pytest.mark.parametrize("tree_class", SUM_TREES)
@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(data=st.data())
def test_leaves_of_any_size_are_found_to_within_rounding(tree_class, data):
    number = st.floats(0.0, 1e100) | st.just(0.0)
    leaves = data.draw(st.lists(number, min_size=1, max_size=60))
    hypothesis.assume(any(leaves))
    tree = sum_tree_of(leaves, tree_class)
    point = data.draw(st.floats(0.0, 1.0)) * tree.total
    found = int(tree.find(point))
    exact = NaiveTree(len(leaves))
    exact.leaves = leaves
    borders = exact.borders()
    slack = exact.total() * fractions.Fraction(1, 10**13)
    assert leaves[found] > 0.0
    assert borders[found] - slack <= point <= borders[found + 1] + slack


class TreeMachine(stateful.RuleBasedStateMachine):
    """Both trees and the naive one, through random writes and searches.

    Values are multiples of 2**-10 below 2**10, so that every sum is exact and
    every search has one right answer, also next to a border.
    """

    @stateful.initialize(
        capacity=st.sampled_from([1, 2, 3, 5, 64, 65, 127, 128, 129, 1000, 1057]),
        classes=st.sampled_from(TREES),
    )
    def make(self, capacity, classes):
        self.capacity = capacity
        self.sums, self.minima = (each(capacity) for each in classes)
        self.naive = NaiveTree(capacity)

    @stateful.rule(data=st.data())
    def write(self, data):
        index = st.integers(0, self.capacity - 1)
        value = st.just(0) | st.integers(0, 2**20)
        pairs = data.draw(st.lists(st.tuples(index, value), max_size=40))
        self._write([i for i, _ in pairs], [v / 2**10 for _, v in pairs])

    @stateful.rule(value=st.integers(0, 3), start=st.floats(0, 1), stop=st.floats(0, 1))
    def fill_a_range(self, value, start, stop):
        bounds = sorted([int(start * self.capacity), int(stop * self.capacity)])
        indices = list(range(*bounds))
        self._write(indices, [float(value)] * len(indices))

    def _write(self, indices, values):
        indices = np.array(indices, np.int64)
        values = np.array(values)
        self.sums[indices] = values
        self.minima[indices] = np.where(values > 0.0, values, np.inf)
        self.naive.set(indices, values)

    @stateful.rule(data=st.data())
    def search(self, data):
        total = float(self.naive.total())
        if total == 0.0:
            with pytest.raises(ValueError, match="empty"):
                self.sums.find(0.0)
            return
        border = st.sampled_from([float(border) for border in self.naive.borders()])
        beside = st.tuples(border, st.sampled_from([0.0, np.inf])).map(
            lambda pair: float(np.nextafter(*pair))
        )
        inside = st.floats(0.0, total)
        points = data.draw(st.lists(border | beside | inside, min_size=1, max_size=20))
        points = [min(point, total) for point in [*points, 0.0, total]]
        found = self.sums.find(points)
        assert found.tolist() == [self.naive.find(point) for point in points]

    @stateful.invariant()
    def agrees(self):
        if hasattr(self, "naive"):
            assert self.sums.total == float(self.naive.total())
            assert self.minima.min == self.naive.min()
            np.testing.assert_array_equal(self.sums.leaves, self.naive.leaves)
            self.sums.check_valid()
            self.minima.check_valid()


TreeMachine.TestCase.settings = hypothesis.settings(
    max_examples=40, stateful_step_count=12, deadline=None
)
TestTreesAgreeWithTheNaiveTree = TreeMachine.TestCase
