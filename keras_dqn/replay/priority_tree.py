"""The tree of prioritized replay: the sum of all leaves, and the smallest one.

Drawing by priority takes a `SumTree`, and scaling the weights takes the minimum of
the same leaves. Here the leaves are kept once: whenever a block of them is fetched
for its sum, its minimum is taken as well, and a `MinTree` keeps those of all blocks.
"""

import numpy as np

from keras_dqn.replay import compiled as compiler
from keras_dqn.replay.segment_tree import MinTree
from keras_dqn.replay.segment_tree import SumTree


class PriorityTree(SumTree):
    """A `SumTree` that also keeps the minimum of the leaves that are not empty.

    It answers, bit for bit, what a `SumTree` and a `MinTree` would answer.

    Args:
        capacity: Integer, at least 1. The number of leaves.
        compiled: Boolean. Whether `draw`, and `set` of single leaves, are compiled
            by Numba: the same bits, in less time.

    Raises:
        ValueError: If `capacity` is not a positive integer.
        ImportError: If `compiled` and there is no Numba that can be imported.

    Example:

    >>> tree = PriorityTree(4)
    >>> tree[[0, 1, 3]] = [1.0, 0.5, 4.0]
    >>> tree.min, tree.total
    (0.5, 5.5)
    """

    def __init__(self, capacity, compiled=False):
        super().__init__(capacity)
        self._walks = compiler.walks(self.fanout) if compiled else None
        # Its leaves are the minima of the blocks of leaves here, if there are blocks.
        self._minima = MinTree(len(self._blocks[0])) if self._blocks else None

    @property
    def min(self):
        """The smallest leaf that is not empty, a float; `inf` if all are."""
        if self._minima is None:
            return float(_minima_of(self._levels[0][None])[0])
        return self._minima.min

    @property
    def nbytes(self):
        """Bytes held by the leaves and all nodes above them."""
        minima = 0 if self._minima is None else self._minima.nbytes
        return super().nbytes + minima

    def draw(self, fractions):
        """Returns where points of the line fall, and the leaves there.

        Args:
            fractions: Float array, shape `(n,)`, at least 0 and below 1. The points
                are `fractions * total`, of a tree that is not empty.

        Returns:
            `(indices, leaves)`, int64 and float64, shape `(n,)`.
        """
        if self._walks is not None:
            return self._walks.draw(self._nodes, self._starts, fractions)
        edges = self._top_edges()
        indices = self._find(fractions * edges[-1], edges)
        return indices, self._levels[0].take(indices)

    def set(self, where, values):
        """See `SegmentTree.set`."""
        is_plain = isinstance(where, np.ndarray) and isinstance(values, np.ndarray)
        if self._walks is None or self._minima is None or not is_plain:
            super().set(where, values)
        else:
            # Minima are padded to whole blocks, as their nodes are.
            minima, starts = self._minima._nodes, self._minima._starts
            self._walks.write(self._nodes, self._starts, minima, starts, where, values)

    def check_valid(self):
        """Raises `ValueError` unless every node is what its children make it."""
        super().check_valid()
        if self._minima is not None:
            self._minima.check_valid()
            if not np.array_equal(self._minima.leaves, _minima_of(self._blocks[0])):
                raise ValueError("Each minimum must be that of its block of leaves.")

    def _set_parents(self, height, where, children):
        super()._set_parents(height, where, children)
        if height == 0:
            self._minima.set(where, _minima_of(children))


def _minima_of(blocks):
    """Returns the minimum of each row, empty leaves left out: `inf` if all are."""
    minima = np.minimum.reduce(blocks, axis=1)
    if not np.logical_and.reduce(minima):  # seldom, once the replay is full
        minima = np.where(blocks > 0.0, blocks, MinTree.empty).min(axis=1)
    return minima
