"""Trees that keep a sum, or a minimum, of many numbers while they change.

Prioritized replay asks two things of `capacity` numbers, thousands of times a
second: the smallest one, and the one on which a given point of their total
falls. A tree answers both after touching a few nodes: each node holds the sum
(or the minimum) of the `fanout` nodes below it.

NumPy works on blocks, so the trees here are wide and flat: with 32 children to a
node, a million leaves make three levels, and a batch of 32 indices climbs each
level in one vectorized step. A parent is always recomputed from its children,
never adjusted by a difference, so that rounding errors do not add up over time.
"""

import itertools
import math

import numpy as np

from keras_dqn import checks


class SegmentTree:
    """What `SumTree` and `MinTree` share: leaves, and levels of nodes above them.

    `tree[indices]` reads leaves, `tree[indices] = values` writes them; both take
    integers of any shape, and negative ones are refused. Where an index occurs
    more than once in a write, its last value counts.

    Args:
        capacity: Integer, at least 1. The number of leaves; any number will do.

    Raises:
        ValueError: If `capacity` is not a positive integer.
    """

    # Both were measured, for batches of 32 and 256 and up to a million leaves.
    fanout = 32  # children of a node
    max_top = 1024  # a level with no more nodes than this is the highest one

    combine = None  # the ufunc which makes a parent of its children
    empty = None  # the value of an empty leaf

    def __init__(self, capacity):
        self.capacity = checks.integer("capacity", capacity, minimum=1)
        # Leaves first, and one level behind the other, in one piece of memory.
        lengths = self._lengths()
        self._starts = np.cumsum([0, *lengths])  # of the levels, and the end
        self._nodes = np.full(self._starts[-1], self.empty)
        self._levels = np.split(self._nodes, self._starts[1:-1])
        # Views of all levels but the top, (parents, fanout).
        self._blocks = [each.reshape(-1, self.fanout) for each in self._levels[:-1]]

    def _lengths(self):
        """Nodes in each level; all are padded to whole blocks, but the top."""
        lengths = [self.capacity]
        while lengths[-1] > self.max_top:
            parents = math.ceil(lengths[-1] / self.fanout)
            lengths[-1] = parents * self.fanout
            lengths.append(parents)
        return lengths

    def __len__(self):
        return self.capacity

    @property
    def leaves(self):
        """All leaves: a read-only view, float64, shape `(capacity,)`."""
        leaves = self._levels[0][: self.capacity]
        leaves.flags.writeable = False
        return leaves

    @property
    def nbytes(self):
        """Bytes held by the leaves and all nodes above them."""
        return self._nodes.nbytes

    def __getitem__(self, indices):
        return self._levels[0][self._checked_indices(indices)]

    def __setitem__(self, indices, values):
        nodes = self._checked_indices(indices)
        values = np.asarray(values, dtype=np.float64)
        self._check_values(values)
        self._levels[0][nodes] = values
        self._climb(nodes.ravel())

    def set(self, where, values):
        """`tree[where] = values` without the checks: for callers who made both.

        Args:
            where: int64 array, shape `(n,)`, or slice with start and stop.
            values: Floats, shape `(n,)`, or one float.
        """
        self._levels[0][where] = values
        self._climb(where)

    def _climb(self, where):
        """Makes the parents of these leaves, and theirs, what their children are."""
        for height, blocks in enumerate(self._blocks):
            # For many indices all blocks are cheaper, and equal bit for bit.
            if not isinstance(where, slice) and len(where) >= len(blocks):
                where = slice(0, len(blocks) * self.fanout)
            if isinstance(where, slice):
                last = (where.stop - 1) // self.fanout
                where = slice(where.start // self.fanout, last + 1)
                children = blocks[where]
            else:
                where = where // self.fanout
                children = blocks.take(where, axis=0)
            self._set_parents(height, where, children)

    def _set_parents(self, height, where, children):
        """Takes over `children`, `(n, fanout)`, of the nodes `where` above them."""
        self._levels[height + 1][where] = self.combine.reduce(children, axis=1)

    def check_valid(self):
        """Raises `ValueError` unless every node is what its children make it."""
        self._check_values(self.leaves)
        if np.any(self._levels[0][self.capacity :] != self.empty):
            raise ValueError("The padding behind the last leaf is not empty.")
        for height, (lower, upper) in enumerate(itertools.pairwise(self._levels)):
            expected = np.full(len(upper), self.empty)
            blocks = lower.reshape(-1, self.fanout)
            expected[: len(blocks)] = self.combine.reduce(blocks, axis=1)
            wrong = np.flatnonzero(upper != expected)
            if wrong.size:
                node = wrong[0]
                raise ValueError(
                    f"Node {node} at height {height + 1} must be what its children "
                    f"make it, {expected[node]}. Received: {upper[node]}"
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
        # Seen as unsigned, a negative index is a huge one: one test for both.
        if indices.size and indices.view(np.uint64).max() >= self.capacity:
            outside = (indices < 0) | (indices >= self.capacity)
            raise IndexError(
                f"`indices` must be from 0 to {self.capacity - 1}. "
                f"Received: {indices[outside][0]} among them"
            )
        return indices


class SumTree(SegmentTree):
    """Keeps the total of its leaves, and finds the leaf at a point of it.

    Leaves are finite and not negative; an empty leaf is `0.0`, as all are at first.
    Seen end to end, the leaves cover the line from 0 to `total`, each as much of it
    as its value: a point drawn uniformly from the line falls on leaf `i` with
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
    def total(self):
        """The sum of all leaves, a float."""
        return float(np.cumsum(self._levels[-1])[-1])

    def find(self, prefix_sums):
        """Returns, for each point on the line, the index of the leaf it falls on.

        That is the largest `i` for which the leaves before `i` sum to no more than
        the point: a point on the border of two leaves belongs to the right one. An
        empty leaf is never returned. The end of the line, `total`, belongs to the
        last leaf which is not empty, since `random() * total` can round up to it.

        Args:
            prefix_sums: Floats, any shape, from 0 to `total`.

        Returns:
            Integer array (int64), same shape.

        Raises:
            ValueError: If a point is NaN, negative or beyond `total`, or if all
                leaves are empty.
        """
        points = np.asarray(prefix_sums, dtype=np.float64)
        edges = self._top_edges()
        self._check_points(points, total=edges[-1])
        return self._find(points.ravel(), edges).reshape(points.shape)

    def _top_edges(self):
        """Where the nodes of the highest level begin on the line, and its end."""
        edges = np.zeros(len(self._levels[-1]) + 1)
        self._levels[-1].cumsum(out=edges[1:])
        return edges

    def _find(self, points, edges):
        """`find` for points, shape `(n,)`, that are known to be on the line."""
        nodes = edges[1:].searchsorted(points, side="right")
        if nodes.size and np.maximum.reduce(nodes) == len(edges) - 1:
            # The end of the line.
            nodes = np.minimum(nodes, np.flatnonzero(self._levels[-1])[-1])
        if not self._blocks:
            return nodes
        rest = points - edges.take(nodes)
        width = self.fanout + 1
        starts = np.arange(0, len(nodes) * width, width)
        edges = np.zeros((len(nodes), width))  # of the children of each node
        for blocks in reversed(self._blocks):
            children = blocks.take(nodes, axis=0)  # (points, fanout)
            chosen = self._descend(children, edges[:, 1:], rest)
            nodes = nodes * self.fanout + chosen
            rest = rest - edges.take(starts + chosen)
        return nodes

    def _descend(self, children, ends, rest):
        """Returns the child on which each point falls. Fills in `ends` of them."""
        np.add.accumulate(children, axis=1, out=ends)
        passed = ends <= rest[:, None]
        chosen = passed.argmin(axis=1)
        # By rounding, a point can lie a little behind all the children of its node.
        behind = passed[:, -1]
        if np.logical_or.reduce(behind):
            from_the_right = (children[behind, ::-1] > 0.0).argmax(axis=1)
            chosen[behind] = self.fanout - 1 - from_the_right
        return chosen

    def _check_points(self, points, total):
        if total <= 0.0:
            raise ValueError("`find` needs a leaf above 0. All leaves are empty.")
        # A caller who sums the leaves in another order may be off by rounding.
        limit = total * (1.0 + 1e-12)
        if points.size and not (points.min() >= 0.0 and points.max() <= limit):
            outside = ~((points >= 0.0) & (points <= limit))
            raise ValueError(
                f"`prefix_sums` must be from 0 to the total, {total}. "
                f"Received: {points[outside][0]} among them"
            )

    def _check_values(self, values):
        # The bound keeps the total finite, whatever the other leaves are.
        limit = np.finfo(np.float64).max / self.capacity
        if values.size and not (values.min() >= 0.0 and values.max() <= limit):
            outside = ~((values >= 0.0) & (values <= limit))
            raise ValueError(
                "Leaves must be finite and at least 0. "
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
    def min(self):
        """The smallest leaf, a float; `inf` if all are empty."""
        return float(self._levels[-1].min())

    def _check_values(self, values):
        if np.isnan(values).any():
            raise ValueError("Leaves must not be NaN. Received: nan among them")
