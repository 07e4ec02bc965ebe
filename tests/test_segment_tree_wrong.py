"""Trees that are wrong in the usual ways: the tests of the trees must find each.

And what is too long for those: a million draws, and a mutated replay state.
"""

import hypothesis
import numpy as np
import pytest
from hypothesis import stateful

from keras_dqn.replay import SumTree
from tests import test_replay_state
from tests import test_segment_tree as tests

pytestmark = pytest.mark.numpy


class Lenient(SumTree):
    """A point on a border belongs to the leaf on its left."""

    def find(self, prefix_sums):
        return super().find(np.nextafter(np.asarray(prefix_sums, float), 0.0))


class Single(SumTree):
    """Leaves are rounded to float32."""

    def __setitem__(self, indices, values):
        super().__setitem__(indices, np.float32(values))


class Unclamped(SumTree):
    """The end of the line belongs to the last leaf, empty or not."""

    def find(self, prefix_sums):
        points = np.asarray(prefix_sums, float)
        found = super().find(points)
        return np.where(points >= self.total, self.capacity - 1, found)


class Unpadded(SumTree):
    """The total counts a leaf too many where leaves do not fill their blocks."""

    @property
    def total(self):
        return super().total + (1.0 if self.capacity % 4 else 0.0)


class Drifting(SumTree):
    """The total is adjusted by differences."""

    _total = 0.0

    def __setitem__(self, indices, values):
        before = super().total
        super().__setitem__(indices, values)
        self._total += super().total - before

    @property
    def total(self):
        return self._total


class FirstCounts(SumTree):
    """Of an index that is written twice, the first value counts."""

    def __setitem__(self, indices, values):
        indices = np.atleast_1d(indices)
        values = np.broadcast_to(np.asarray(values, float), indices.shape)
        super().__setitem__(indices[::-1], values[::-1])


def borders(tree_class):
    tests.test_a_prefix_sum_finds_the_leaf_to_its_right_and_never_an_empty_one(
        tree_class, [0, 2, 0, 4], [0, 1.9, 2, 5, 6], [1, 1, 3, 3, 3]
    )
    tests.test_a_prefix_sum_finds_the_leaf_to_its_right_and_never_an_empty_one(
        tree_class, [1, 2, 0, 0], [0, 1, 2.99, 3], [0, 1, 1, 1]
    )


def rounding(tree_class):
    tests.test_rounding_never_leads_to_an_empty_leaf(tree_class)


def totals(tree_class):
    for capacity in (1, 3, 4, 5, 127, 128, 129, 1_025):
        assert tests.sum_tree_of(np.ones(capacity), tree_class).total == capacity


def exact_leaves(tree_class):
    tree = tree_class(2)
    tree[0] = 0.1
    assert tree.leaves[0] == 0.1


def drift(tree_class):
    tree = tree_class(300)
    rng = np.random.default_rng(1)
    for _ in range(300):
        tree[rng.integers(0, 300, 32)] = 10.0 ** rng.uniform(-12, 12, 32)
    tree[np.arange(1, 300)] = 0.0
    assert tree.total == tree[0]


def last_counts(tree_class):
    tree = tree_class(9)
    tree[[7, 8, 7]] = [1.0, 2.0, 16.0]
    assert tree[7] == 16.0


CHECKS = [borders, rounding, totals, exact_leaves, drift, last_counts]
WRONG = {
    Lenient: borders,
    Single: exact_leaves,
    Unclamped: borders,
    Unpadded: totals,
    Drifting: drift,
    FirstCounts: last_counts,
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_tree_passes_every_check(check):
    check(SumTree)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_tree_fails_the_check_that_is_meant_for_it(wrong):
    with pytest.raises((AssertionError, ValueError)):
        WRONG[wrong](wrong)


def test_a_million_draws_are_proportional_to_the_leaves():
    rng = np.random.default_rng(11)
    leaves = rng.random(1_000) ** 3
    leaves[rng.random(1_000) < 0.2] = 0.0
    tree = tests.sum_tree_of(leaves)
    found = tree.find(rng.random(1_000_000) * tree.total)
    counts = np.bincount(found, minlength=1_000)
    used = leaves > 0.0
    assert counts[~used].sum() == 0
    expected = 1_000_000 * leaves[used] / leaves.sum()
    chi_square = float(((counts[used] - expected) ** 2 / expected).sum())
    degrees = used.sum() - 1
    # Normal for so many degrees: 3.7 standard deviations are once in 10,000 seeds.
    assert chi_square < degrees + 3.72 * np.sqrt(2.0 * degrees)


@pytest.mark.slow
def test_the_trees_agree_with_the_naive_one_in_many_more_runs():
    settings = hypothesis.settings(
        max_examples=20_000,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    stateful.run_state_machine_as_test(tests.TreeMachine, settings=settings)


def mutated(state, rng):
    """One entry of a state, changed as a bad disk or a bad writer might."""
    name = sorted(state)[rng.integers(len(state))]
    array = np.array(state[name])
    kind = rng.integers(6)
    if kind == 0:
        array = array.astype(rng.choice(["float64", "int8", "uint64", "bool"]))
    elif kind == 1:
        array = array.reshape(-1)[: rng.integers(array.size + 1)]
    elif kind == 2:
        array = np.stack([array, array])
    elif kind == 3 and array.size and array.dtype.kind != "b":
        high = -1 if array.dtype.kind in "if" else 255
        array.reshape(-1)[rng.integers(array.size)] = high
    elif kind == 4 and array.size:
        data = array.reshape(-1).view(np.uint8)
        data[rng.integers(data.size)] ^= np.uint8(1 << rng.integers(8))
    elif kind == 5 and array.dtype.kind in "if" and array.size:
        array.reshape(-1)[rng.integers(array.size)] = np.array(2**30, array.dtype)
    return {**state, name: array}


def test_500_mutated_states_are_refused_or_make_a_valid_replay():
    rng = np.random.default_rng(0)
    state = test_replay_state.copied(test_replay_state.lived()[0].state_dict())
    refused = 0
    for _ in range(500):
        replay = test_replay_state.fresh()
        empty = test_replay_state.copied(replay.state_dict())
        try:
            replay.load_state_dict(mutated(state, rng))
        except ValueError:
            refused += 1
            test_replay_state.assert_equal_states(empty, replay.state_dict())
        else:
            replay.check_valid()
            replay.sample(8, rng)
    assert refused > 200
