"""Trees that keep the sum, or the minimum, of many numbers while they change.

Prioritized replay needs two operations on `capacity` numbers, thousands of times a
second: the minimum, and the leaf for a prefix sum (the first leaf for which the sum
of all leaves up to and including it exceeds the prefix sum). Each node of a tree holds
the sum (or the minimum) of its `fanout` children, so both operations read only a few
nodes.

The trees are wide and flat, to suit NumPy: with 32 children per node, a million leaves
need three levels, and vectorized operations process a batch of indices level by level.
A parent is always recomputed from its children and never updated by a difference, so
rounding errors do not accumulate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dqn import checks


class SegmentTree:
    """What `SumTree` and `MinTree` share: leaves, and levels of nodes above them.

    `tree[indices]` reads leaves and `tree[indices] = values` writes them. Indices are
    integers of any shape, not negative. If an index occurs more than once in a write,
    its last value is kept.

    Args:
        capacity: Integer, at least 1. The number of leaves. It need not be a power
            of two.

    Attributes:
        levels: List of float64 arrays: the leaves first, the top level last. All but
            the top are padded with empty nodes to a multiple of `fanout`.

    Raises:
        ValueError: If `capacity` is not a positive integer.
    """

    # Measured to be the fastest, for batches of 32 and 256 and up to a million leaves.
    fanout = 32  # children per node
    max_top = 1024  # the largest size of the top level

    combine: np.ufunc  # computes a parent from its children
    empty: float  # the value of an empty leaf

    def __init__(self, capacity: int) -> None:
        self.capacity = checks.integer("capacity", capacity, minimum=1)
        self.levels = [np.full(length, self.empty) for length in self._lengths()]
        # Views of all levels but the top, shape (parents, fanout).
        self._blocks = [level.reshape(-1, self.fanout) for level in self.levels[:-1]]

    def _lengths(self):
        """Returns the number of nodes of each level."""
        lengths = [self.capacity]
        while lengths[-1] > self.max_top:
            parents = math.ceil(lengths[-1] / self.fanout)
            lengths[-1] = parents * self.fanout
            lengths.append(parents)
        return lengths

    def __len__(self) -> int:
        return self.capacity

    @property
    def leaves(self) -> np.ndarray:
        """All leaves: a read-only view, float64, shape `(capacity,)`."""
        leaves = self.levels[0][: self.capacity]
        leaves.flags.writeable = False
        return leaves

    @property
    def nbytes(self) -> int:
        """Bytes of the leaves and of all nodes above them."""
        return sum(level.nbytes for level in self.levels)

    def __getitem__(self, indices: np.ndarray | Sequence[Any] | int) -> np.ndarray:
        return self.levels[0][self._checked_indices(indices)]

    def __setitem__(
        self,
        indices: np.ndarray | Sequence[Any] | int,
        values: np.ndarray | Sequence[Any] | float,
    ) -> None:
        where = self._checked_indices(indices)
        values = np.asarray(values, dtype=np.float64)
        self._check_values(values)
        self.levels[0][where] = values
        self._update_ancestors(where.ravel())

    def set(self, where: np.ndarray | slice, values: np.ndarray | float) -> None:
        """Does `tree[where] = values`, without checking the arguments.

        Args:
            where: int64 array, shape `(n,)`, or slice with start and stop.
            values: Floats, shape `(n,)`, or one float.
        """
        self.levels[0][where] = values
        self._update_ancestors(where)

    def _update_ancestors(self, where):
        """Recomputes all nodes above these leaves."""
        for height, blocks in enumerate(self._blocks):
            # For many indices it is faster to recompute the whole level. The result
            # is the same, bit for bit.
            if not isinstance(where, slice) and len(where) >= len(blocks):
                where = slice(0, len(blocks) * self.fanout)
            if isinstance(where, slice):
                last = (where.stop - 1) // self.fanout
                where = slice(where.start // self.fanout, last + 1)
                children = blocks[where]
            else:
                where = where // self.fanout
                children = blocks.take(where, axis=0)
            self._update_parents(height, where, children)

    def _update_parents(self, height, where, children):
        """Computes the nodes `where`, one level up, from `children` `(n, fanout)`."""
        self.levels[height + 1][where] = self.combine.reduce(children, axis=1)

    def check_valid(self) -> None:
        """Raises `ValueError` unless every node matches its children."""
        self._check_values(self.leaves)
        if np.any(self.levels[0][self.capacity :] != self.empty):
            raise ValueError("The padding after the last leaf is not empty.")
        for height, (lower, upper) in enumerate(itertools.pairwise(self.levels)):
            expected = np.full(len(upper), self.empty)
            blocks = lower.reshape(-1, self.fanout)
            expected[: len(blocks)] = self.combine.reduce(blocks, axis=1)
            wrong = np.flatnonzero(upper != expected)
            if wrong.size:
                node = wrong[0]
                raise ValueError(
                    f"Node {node} at height {height + 1} must be {expected[node]}, "
                    f"computed from its children. Received: {upper[node]}"
                )

    def _check_values(self, values):
        raise NotImplementedError

    def _checked_indices(self, indices):
        indices = np.asarray(indices)
        if indices.dtype.kind not in "iu" and indices.size:
            raise TypeError(
                f"`indices` must be integers. Received: indices.dtype={indices.dtype}"
            )
        indices = indices.astype(np.int64, copy=False)
        # A negative index, read as unsigned, is very large: one test for both ends.
        if indices.size and indices.view(np.uint64).max() >= self.capacity:
            outside = (indices < 0) | (indices >= self.capacity)
            raise IndexError(
                f"`indices` must be from 0 to {self.capacity - 1}. "
                f"Received: {indices[outside][0]} among them"
            )
        return indices


class SumTree(SegmentTree):
    """Keeps the sum of its leaves, and finds the leaf for a prefix sum.

    Leaves are finite and not negative. An empty leaf is `0.0`, as all are at first.
    If `x` is drawn uniformly from 0 to `total`, then `find(x)` is leaf `i` with
    probability `leaf_i / total`.

    Example:

    >>> tree = SumTree(4)
    >>> tree[[0, 1, 2, 3]] = [1.0, 2.0, 0.0, 4.0]
    >>> tree.total
    7.0
    >>> tree.find([0.0, 0.9, 1.0, 3.0, 7.0])
    array([0, 0, 1, 3, 3])

    Reference:
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), appendix B.2.1.
    """

    combine = np.add
    empty = 0.0

    @property
    def total(self) -> float:
        """The sum of all leaves, a float."""
        return float(np.cumsum(self.levels[-1])[-1])

    def find(self, prefix_sums: np.ndarray | Sequence[Any]) -> np.ndarray:
        """Returns the leaf for each prefix sum.

        That is the leaf `i` with `sum(leaves[:i]) <= prefix_sum < sum(leaves[:i + 1])`.
        It is never an empty leaf. `prefix_sum == total` gives the last leaf that is
        not empty, because `random() * total` can be rounded up to `total`.

        Args:
            prefix_sums: Floats, any shape, from 0 to `total`.

        Returns:
            Integer array (int64), same shape.

        Raises:
            ValueError: If a prefix sum is NaN, negative or above `total`, or if all
                leaves are empty.
        """
        prefix_sums = np.asarray(prefix_sums, dtype=np.float64)
        sums = self._top_sums()
        self._check_prefix_sums(prefix_sums, total=sums[-1])
        return self._find(prefix_sums.ravel(), sums).reshape(prefix_sums.shape)

    def _top_sums(self):
        """Returns the cumulative sums of the top level, with a 0 in front."""
        sums = np.zeros(len(self.levels[-1]) + 1)
        self.levels[-1].cumsum(out=sums[1:])
        return sums

    def _find(self, prefix_sums, sums):
        """Does `find` for prefix sums, shape `(n,)`, that were checked."""
        nodes = sums[1:].searchsorted(prefix_sums, side="right")
        if nodes.size and np.maximum.reduce(nodes) == len(sums) - 1:
            # A prefix sum equal to the total.
            nodes = np.minimum(nodes, np.flatnonzero(self.levels[-1])[-1])
        if not self._blocks:
            return nodes
        rest = prefix_sums - sums.take(nodes)
        width = self.fanout + 1
        starts = np.arange(0, len(nodes) * width, width)
        sums = np.zeros((len(nodes), width))  # of the children, with a 0 in front
        for blocks in reversed(self._blocks):
            children = blocks.take(nodes, axis=0)  # (n, fanout)
            chosen = self._find_children(children, sums[:, 1:], rest)
            nodes = nodes * self.fanout + chosen
            rest = rest - sums.take(starts + chosen)
        return nodes

    def _find_children(self, children, sums, rest):
        """Returns the child for each prefix sum `rest` within its node.

        Writes the cumulative sums of the children into `sums`.
        """
        np.add.accumulate(children, axis=1, out=sums)
        is_passed = sums <= rest[:, None]
        chosen = is_passed.argmin(axis=1)
        # Rounding can make `rest` a little larger than the sum of all children.
        is_beyond = is_passed[:, -1]
        if np.logical_or.reduce(is_beyond):
            from_the_right = (children[is_beyond, ::-1] > 0.0).argmax(axis=1)
            chosen[is_beyond] = self.fanout - 1 - from_the_right
        return chosen

    def _check_prefix_sums(self, prefix_sums, total):
        if total <= 0.0:
            raise ValueError("`find` needs a leaf above 0. All leaves are empty.")
        # The caller's total may be rounded differently, if leaves were added up in
        # another order.
        limit = total * (1.0 + 1e-12)
        if prefix_sums.size and not (
            prefix_sums.min() >= 0.0 and prefix_sums.max() <= limit
        ):
            outside = ~((prefix_sums >= 0.0) & (prefix_sums <= limit))
            raise ValueError(
                f"`prefix_sums` must be from 0 to the total, {total}. "
                f"Received: {prefix_sums[outside][0]} among them"
            )

    def _check_values(self, values):
        # With this limit the total of all leaves is finite.
        limit = np.finfo(np.float64).max / self.capacity
        if values.size and not (values.min() >= 0.0 and values.max() <= limit):
            outside = ~((values >= 0.0) & (values <= limit))
            raise ValueError(
                f"Leaves must be finite, at least 0 and at most {limit:.3g}. "
                f"Received: {values[outside][0]} among them"
            )


class MinTree(SegmentTree):
    """Keeps the minimum of its leaves. An empty leaf is `inf`, as all are at first.

    Example:

    >>> tree = MinTree(3)
    >>> tree[[0, 2]] = [5.0, 4.0]
    >>> tree.min
    4.0
    """

    combine = np.minimum
    empty = np.inf

    @property
    def min(self) -> float:
        """The smallest leaf, a float; `inf` if all are empty."""
        return float(self.levels[-1].min())

    def _check_values(self, values):
        if np.isnan(values).any():
            raise ValueError("Leaves must not be NaN. Received: nan among them")
