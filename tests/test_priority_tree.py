"""The tree of priorities against a sum tree and a minimum tree of the same leaves."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_dqn.replay import MinTree
from keras_dqn.replay import SumTree
from keras_dqn.replay.priority_tree import PriorityTree

pytestmark = pytest.mark.numpy


class NarrowPriorityTree(PriorityTree):
    """Several levels for few leaves."""

    fanout = 4
    max_top = 4


class NarrowSumTree(SumTree):
    fanout = 4
    max_top = 4


LEAVES = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(data=st.data(), capacity=st.integers(1, 200))
def test_it_equals_a_sum_tree_and_a_min_tree_bit_for_bit(data, capacity):
    tree, sums, minima = (
        make(capacity) for make in (NarrowPriorityTree, NarrowSumTree, MinTree)
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, capacity - 1))
            stop = data.draw(st.integers(start + 1, capacity))
            where, values = slice(start, stop), data.draw(LEAVES)
            indices = np.arange(start, stop)
        else:
            size = data.draw(st.integers(0, 12))
            where = indices = rng.integers(0, capacity, size)
            values = np.array(data.draw(st.lists(LEAVES, min_size=size, max_size=size)))
        tree.set(where, values)
        sums[indices] = values
        minima[indices] = np.where(np.asarray(values) > 0.0, values, np.inf)
        for level, other in zip(tree.levels, sums.levels, strict=True):
            np.testing.assert_array_equal(level, other)
        assert (tree.total, tree.min) == (sums.total, minima.min)
        tree.check_valid()
        if tree.total > 0.0:
            fractions = rng.random(20)
            found, leaves = tree.draw(fractions)
            np.testing.assert_array_equal(found, sums.find(fractions * sums.total))
            np.testing.assert_array_equal(leaves, sums[found])
            assert leaves.min() > 0.0


def test_large_trees_of_full_width_agree_as_well():
    capacity = 5000
    rng = np.random.default_rng(0)
    tree, sums, minima = (make(capacity) for make in (PriorityTree, SumTree, MinTree))
    for size in (8, 32, 256, 5000):
        indices, values = rng.integers(0, capacity, size), rng.random(size) + 0.01
        tree[indices] = values
        sums[indices] = values
        minima[indices] = values
    for level, other in zip(tree.levels, sums.levels, strict=True):
        np.testing.assert_array_equal(level, other)
    assert tree.min == minima.min
    tree.check_valid()


def test_draws_with_the_largest_fraction_find_a_leaf():
    """The largest fraction times the total can round up to the total."""
    tree = NarrowPriorityTree(100)
    tree.set(slice(0, 50), 0.1)
    found, leaves = tree.draw(np.array([0.0, np.nextafter(1.0, 0.0), 1.0]))
    assert (found.tolist(), leaves.tolist()) == ([0, 49, 49], [0.1, 0.1, 0.1])


@pytest.mark.parametrize("value", [0.001, 5.0])
def test_a_wrong_minimum_is_found_invalid(value):
    tree = NarrowPriorityTree(100)
    tree.set(slice(0, 100), 1.0)
    tree.check_valid()
    tree.minima[3] = value
    with pytest.raises(ValueError, match="that of its block"):
        tree.check_valid()


def test_nbytes_is_between_8_and_9_per_leaf():
    capacity = 2**20
    tree = PriorityTree(capacity)
    assert 8 * capacity < tree.nbytes < 9 * capacity
