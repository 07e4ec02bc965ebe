"""Walks through a tree of priorities, compiled by Numba where it is installed.

NumPy takes twenty calls to draw a minibatch and as many to write one back, each on
a few dozen numbers; here each is one. It is the same arithmetic in the same order:
every node equals, bit for bit, what `priority_tree.py` makes of it in NumPy, so that
a run may begin with the one and go on with the other.
"""

import functools
import importlib.util
from typing import NamedTuple

import numpy as np


class Walks(NamedTuple):
    """Compiled functions. `nodes` and `starts` are those of a `SegmentTree`.

    Attributes:
        draw: `(nodes, starts, fractions) -> (indices, leaves)`, see
            `PriorityTree.draw`.
        write: `(nodes, starts, minima, minima_starts, where, values)`, see
            `PriorityTree.set`; `where` and `values` are int64 and float64, `(n,)`.
    """

    draw: object
    write: object


def is_installed():
    """Whether there is a Numba. It is not imported to find out."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def walks(fanout):
    """Compiles for trees of this fanout: once, in one or two seconds.

    Args:
        fanout: Integer, the children of a node: below 8, or a multiple of 8 up to
            128. In what order NumPy sums these is known.

    Returns:
        `Walks`.

    Raises:
        ImportError: If Numba is missing, or does not go with this NumPy.
        ValueError: If `fanout` is another number.
    """
    try:
        import numba
    except ImportError as error:
        raise ImportError(
            f"Compiled trees need Numba: `pip install numba`. {error}"
        ) from error
    if not (fanout < 8 or (fanout % 8 == 0 and fanout <= 128)):
        raise ValueError(
            "`fanout` must be below 8, or a multiple of 8 up to 128. "
            f"Received: fanout={fanout}"
        )
    floats, integers = numba.float64[::1], numba.int64[::1]

    @numba.njit
    def block_sum(nodes, first):
        """As `np.add.reduce`: in order, or eight sums that are added in pairs."""
        if fanout < 8:
            total = nodes[first]
            for i in range(first + 1, first + fanout):
                total += nodes[i]
            return total
        a, b, c, d = nodes[first], nodes[first + 1], nodes[first + 2], nodes[first + 3]
        first += 4
        e, f, g, h = nodes[first], nodes[first + 1], nodes[first + 2], nodes[first + 3]
        for i in range(first + 4, first + fanout - 4, 8):
            a += nodes[i]
            b += nodes[i + 1]
            c += nodes[i + 2]
            d += nodes[i + 3]
            e += nodes[i + 4]
            f += nodes[i + 5]
            g += nodes[i + 6]
            h += nodes[i + 7]
        return ((a + b) + (c + d)) + ((e + f) + (g + h))

    @numba.njit
    def block_min(nodes, first):
        """The smallest node that is not empty; infinity if all are."""
        smallest = np.inf
        for i in range(first, first + fanout):
            if 0.0 < nodes[i] < smallest:
                smallest = nodes[i]
        return smallest

    @numba.njit
    def child_of(nodes, first, point):
        """The child on which a point falls, and where that child begins."""
        end = start = 0.0
        child = 0
        for i in range(first, first + fanout):
            end += nodes[i]
            if end <= point:
                child += 1
                start = end
        if child == fanout:  # by rounding, the point lies behind them all
            child -= 1
            while child > 0 and nodes[first + child] == 0.0:
                child -= 1
            start = 0.0
            for i in range(first, first + child):
                start += nodes[i]
        return child, start

    @numba.njit((floats, integers, floats))
    def draw(nodes, starts, fractions):
        count = len(fractions)
        found = np.zeros(count, np.int64)
        points, leaves = np.empty(count), np.empty(count)
        top = len(starts) - 2
        first, size = starts[top], starts[top + 1] - starts[top]
        ends = np.empty(size)  # of the nodes of the top, on the line
        total = 0.0
        for i in range(size):
            total += nodes[first + i]
            ends[i] = total
        for k in range(count):
            point = fractions[k] * total
            low, high = 0, size
            while low < high:
                middle = (low + high) // 2
                if ends[middle] <= point:
                    low = middle + 1
                else:
                    high = middle
            if low == size:  # the end of the line
                low -= 1
                while low > 0 and nodes[first + low] == 0.0:
                    low -= 1
            found[k] = low
            points[k] = point - ends[low - 1] if low else point
        for height in range(top - 1, -1, -1):
            for k in range(count):
                first = starts[height] + found[k] * fanout
                child, start = child_of(nodes, first, points[k])
                found[k] = found[k] * fanout + child
                points[k] -= start
        for k in range(count):
            leaves[k] = nodes[found[k]]
        return found, leaves

    @numba.njit((floats, integers, floats, integers, integers, floats))
    def write(nodes, starts, minima, minima_starts, where, values):
        count = len(where)
        parents, blocks = np.empty(count, np.int64), np.empty(count, np.int64)
        for k in range(count):
            nodes[where[k]] = values[k]
        for k in range(count):
            parents[k] = blocks[k] = where[k] // fanout
            minima[parents[k]] = block_min(nodes, parents[k] * fanout)
        for height in range(1, len(starts) - 1):
            for k in range(count):
                first = starts[height - 1] + parents[k] * fanout
                nodes[starts[height] + parents[k]] = block_sum(nodes, first)
                parents[k] //= fanout
        for height in range(1, len(minima_starts) - 1):
            for k in range(count):
                blocks[k] //= fanout
                first = minima_starts[height - 1] + blocks[k] * fanout
                minima[minima_starts[height] + blocks[k]] = block_min(minima, first)

    return Walks(draw, write)
