"""The tree of prioritized replay: the sum of the leaves and their minimum.

Sampling by priority needs a `SumTree`, and the importance-sampling weights need the
minimum of the same leaves. Here the leaves are stored once. Whenever the sum of a block
of leaves is recomputed, so is its minimum, and a `MinTree` keeps the minima of all
blocks.
"""

from __future__ import annotations

import numpy as np

from keras_dqn.replay.segment_tree import MinTree
from keras_dqn.replay.segment_tree import SumTree


class PriorityTree(SumTree):
    """A `SumTree` that also keeps the minimum of the leaves that are not empty.

    All results equal those of a `SumTree` and a `MinTree`, bit for bit.

    Args:
        capacity: Integer, at least 1. The number of leaves.

    Attributes:
        minima: `MinTree` of the minimum of every block of leaves, or `None` if the
            tree has a single level.

    Raises:
        ValueError: If `capacity` is not a positive integer.

    Example:

    >>> tree = PriorityTree(4)
    >>> tree[[0, 1, 3]] = [1.0, 0.5, 4.0]
    >>> tree.min, tree.total
    (0.5, 5.5)
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.minima = MinTree(len(self._blocks[0])) if self._blocks else None

    @property
    def min(self) -> float:
        """The smallest leaf that is not empty, a float; `inf` if all are."""
        if self.minima is None:
            return float(_minima_of(self.levels[0][None])[0])
        return self.minima.min

    @property
    def nbytes(self) -> int:
        """Bytes of the leaves and of all nodes above them."""
        minima = 0 if self.minima is None else self.minima.nbytes
        return super().nbytes + minima

    def draw(self, fractions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the leaves for the prefix sums `fractions * total`.

        Args:
            fractions: Float array, shape `(n,)`, at least 0 and below 1. The tree
                must not be empty.

        Returns:
            `(indices, leaves)`: int64 and float64, shape `(n,)`.
        """
        sums = self._top_sums()
        indices = self._find(fractions * sums[-1], sums)
        return indices, self.levels[0].take(indices)

    def check_valid(self) -> None:
        """Raises `ValueError` unless every node matches its children."""
        super().check_valid()
        if self.minima is not None:
            self.minima.check_valid()
            if not np.array_equal(self.minima.leaves, _minima_of(self._blocks[0])):
                raise ValueError(
                    "A minimum must be that of its block of leaves. It is not."
                )

    def _update_parents(self, height, where, children):
        super()._update_parents(height, where, children)
        if height == 0:
            self.minima.set(where, _minima_of(children))


def _minima_of(blocks):
    """Returns the minimum of each row, ignoring empty leaves: `inf` if all are."""
    minima = np.minimum.reduce(blocks, axis=1)
    if not np.logical_and.reduce(minima):  # rare once the replay is full
        minima = np.where(blocks > 0.0, blocks, MinTree.empty).min(axis=1)
    return minima
