"""Trees compiled by Numba: equal to those in NumPy, bit for bit, or not there."""

import importlib.util
import sys
import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import compiled
from keras_dqn.replay.priority_tree import PriorityTree
from tests.reference_replay import World
from tests.test_priority_tree import LEAVES
from tests.test_priority_tree import NarrowPriorityTree

pytestmark = pytest.mark.numpy


class EightfoldPriorityTree(PriorityTree):
    """As few children as NumPy sums in eight parts."""

    fanout = 16
    max_top = 4


TREES = [PriorityTree, EightfoldPriorityTree, NarrowPriorityTree]


def assert_equal_trees(tree, other):
    np.testing.assert_array_equal(tree._nodes, other._nodes)
    assert (tree.total, tree.min) == (other.total, other.min)
    if tree._minima is not None:
        np.testing.assert_array_equal(tree._minima._nodes, other._minima._nodes)


@pytest.mark.parametrize("tree_class", TREES)
@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(data=st.data(), capacity=st.integers(1, 3000))
def test_both_trees_hold_and_draw_the_same_bits(tree_class, data, capacity):
    tree, other = tree_class(capacity, compiled=True), tree_class(capacity)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for _ in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()):
            size = data.draw(st.integers(0, 80))
            where = rng.integers(0, capacity, size)
            values = rng.random(size) * 10.0 ** rng.integers(-9, 9, size)
            values[rng.random(size) < 0.3] = 0.0
        else:
            start = data.draw(st.integers(0, capacity - 1))
            where = slice(start, data.draw(st.integers(start + 1, capacity)))
            values = data.draw(LEAVES)
        tree.set(where, values)
        other.set(where, values)
        assert_equal_trees(tree, other)
        if other.total > 0.0:
            edges = np.cumsum(other.leaves) / other.total
            fractions = np.concatenate(
                [rng.random(9), [0.0, 1.0], np.minimum(rng.choice(edges, 9), 1.0)]
            )
            for found, expected in zip(
                tree.draw(fractions), other.draw(fractions), strict=True
            ):
                np.testing.assert_array_equal(found, expected)
                assert found.dtype == expected.dtype


@pytest.mark.parametrize("tree_class", TREES)
def test_one_value_may_be_written_to_many_leaves(tree_class):
    trees = tree_class(2000, compiled=True), tree_class(2000)
    for tree in trees:
        tree.set(np.array([3, 1999, 700]), 0.25)
    assert trees[0].total == 0.75
    assert_equal_trees(*trees)


@pytest.mark.parametrize("tree_class", TREES)
def test_points_that_rounding_puts_behind_their_block_are_found_in_it(tree_class):
    """Of sums in another order, so that a node is more than its children's sum."""
    tree, other = tree_class(2000, compiled=True), tree_class(2000)
    rng = np.random.default_rng(1)
    behind = 0
    for _ in range(300):
        leaves = rng.random(2000) * (rng.random(2000) < 0.5)
        for each in (tree, other):
            each.set(slice(0, 2000), leaves)
        ends = np.cumsum(other._blocks[0], axis=1)[:, -1]
        parents = other._levels[1][: len(ends)]
        behind += np.count_nonzero(parents > ends)
        edges = np.nextafter(np.cumsum(parents), 0.0) / other.total
        found, values = tree.draw(np.minimum(edges, 1.0))
        np.testing.assert_array_equal(found, other.draw(np.minimum(edges, 1.0))[0])
        assert values.min() > 0.0
    assert behind > 100 or tree_class is NarrowPriorityTree


def life(replay, world, steps, rng):
    """Adds, draws and writes back; returns all that was drawn."""
    found = []
    for _ in range(steps):
        actions = rng.integers(0, 4, world.num_envs)
        replay.add(actions, world.step())
        if replay.size >= 64:
            sample = replay.sample(8, rng, beta=0.4, batches=3)
            replay.update_priorities(sample.ids, rng.normal(size=sample.ids.shape))
            found.append(sample)
    return found


@pytest.mark.parametrize("n_steps", [1, 3])
def test_a_replay_is_the_same_with_and_without_and_goes_on_with_the_other(n_steps):
    replays, samples = [], []
    for is_compiled in (True, False):
        world = World(4, frame_stack=2)
        replay = PrioritizedReplay(2048, n_steps=n_steps, compiled=is_compiled)
        replay.build(**world.spec)
        replay.start(world.reset())
        samples.append(life(replay, world, 700, np.random.default_rng(0)))
        replays.append((replay, world))
    for ours, theirs in zip(*samples, strict=True):
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        np.testing.assert_array_equal(ours.batch["weights"], theirs.batch["weights"])
    (first, world), (second, _) = replays
    assert (first.is_compiled, second.is_compiled) == (True, False)
    assert_equal_trees(first._tree, second._tree)
    for replay in (first, second):
        replay.check_valid()
    second.load_state_dict(first.state_dict())
    assert_equal_trees(first._tree, second._tree)


def test_numba_is_taken_where_it_is_and_there_are_many_transitions():
    world = World(4, frame_stack=2)
    for capacity, expected in ((1024, False), (1028, True)):
        replay = PrioritizedReplay(capacity)
        assert not replay.is_compiled
        replay.build(**world.spec)
        assert replay.is_compiled == expected


@pytest.fixture
def no_numba(monkeypatch):
    """As if it were not installed."""
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    compiled.walks.cache_clear()


def test_without_numba_numpy_does_it_and_a_demand_is_refused(no_numba):
    world = World(4, frame_stack=2)
    replay = PrioritizedReplay(2048)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replay.build(**world.spec)
    assert not replay.is_compiled
    with pytest.raises(ImportError, match="pip install numba"):
        PrioritizedReplay(2048, compiled=True).build(**world.spec)


def test_a_numba_that_does_not_go_with_this_numpy_is_said(no_numba, monkeypatch):
    monkeypatch.setattr(compiled, "is_installed", lambda: True)
    replay = PrioritizedReplay(2048)
    with pytest.warns(UserWarning, match="NumPy is in its place"):
        replay.build(**World(4, frame_stack=2).spec)
    assert not replay.is_compiled


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_another_word_for_compiled_is_refused(value):
    with pytest.raises(ValueError, match="`compiled` must be 'auto', True or False"):
        PrioritizedReplay(2048, compiled=value)


@pytest.mark.parametrize("fanout", [9, 136])
def test_a_fanout_whose_sums_are_in_an_unknown_order_is_refused(fanout):
    with pytest.raises(ValueError, match="below 8, or a multiple of 8"):
        compiled.walks(fanout)
