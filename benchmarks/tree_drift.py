"""Ten million writes into the tree of priorities: does the root drift?

    python benchmarks/tree_drift.py

Writes of 1 to 256 leaves, over 24 orders of magnitude, a quarter of them emptied,
into trees of several capacities. After each tenth of them the root is held
against `math.fsum` of the leaves, and points on, just below and just above the
borders of leaves are searched, and points drawn. Needs no Keras.
"""

import argparse
import json
import math
import pathlib
import time

import machine
import numpy as np

from keras_dqn.replay.priority_tree import PriorityTree

CAPACITIES = (1, 31, 1_000, 1_025, 100_000, 2**20)
LIMIT = 1e-12  # of the root's relative error


def write(tree, rng, operations):
    """Writes leaves at random until there were so many writes of one."""
    done = 0
    while done < operations:
        count = min(int(rng.integers(1, 257)), operations - done)
        indices = rng.integers(0, tree.capacity, count)
        values = 10.0 ** rng.uniform(-12.0, 12.0, count)
        values[rng.random(count) < 0.25] = 0.0
        tree[indices] = values
        done += count


def relative_error(tree):
    """How far the root is from the exact sum of the leaves, relatively."""
    exact = math.fsum(tree.leaves)
    return abs(tree.total - exact) / exact if exact else abs(tree.total)


def search_borders(tree, rng, most):
    """Searches at borders of leaves. Returns searches, and empty slots found."""
    leaves = tree.leaves
    if not tree.total:
        return 0, 0
    borders = np.concatenate([[0.0], np.cumsum(leaves), [tree.total]])
    if len(borders) > most:
        borders = rng.choice(borders, most, replace=False)
    points = [borders, np.nextafter(borders, 0.0), np.nextafter(borders, np.inf)]
    points = np.clip(np.concatenate(points), 0.0, tree.total)
    fractions = np.concatenate([rng.random(most), [0.0, np.nextafter(1.0, 0.0)]])
    drawn, _ = tree.draw(fractions)
    found = np.concatenate([tree.find(points), drawn])
    return len(found), int(np.count_nonzero(leaves[found] <= 0.0))


def drift(capacity, operations, seed, searches):
    """Returns the figures of one tree."""
    rng = np.random.default_rng([seed, capacity])
    tree = PriorityTree(capacity)
    errors, searched, empty = [], 0, 0
    started = time.perf_counter()
    for _ in range(10):
        write(tree, rng, operations // 10)
        errors.append(relative_error(tree))
        count, picked = search_borders(tree, rng, searches)
        searched, empty = searched + count, empty + picked
    seconds = time.perf_counter() - started
    tree.check_valid()
    leaves = tree.leaves
    smallest = leaves[leaves > 0.0].min(initial=np.inf)
    return {
        "capacity": capacity,
        "writes": operations // 10 * 10,
        "largest_relative_error": max(errors),
        "searches": searched,
        "empty_slots_found": empty,
        "minimum_is_right": bool(tree.min == smallest),
        "seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--capacities", type=int, nargs="+", default=CAPACITIES)
    parser.add_argument("--searches", type=int, default=30_000, help="per tenth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.operations, options.searches = 100_000, 1_000
    description = machine.describe()
    machine.print_description(description)
    print("| capacity | writes | largest error | searches | empty found | minimum |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for capacity in options.capacities:
        row = drift(capacity, options.operations, options.seed, options.searches)
        rows.append(row)
        print(
            f"| {capacity} | {row['writes']} | {row['largest_relative_error']:.1e} "
            f"| {row['searches']} | {row['empty_slots_found']} "
            f"| {'right' if row['minimum_is_right'] else 'WRONG'} |",
            flush=True,
        )
    good = all(
        row["largest_relative_error"] <= LIMIT
        and row["empty_slots_found"] == 0
        and row["minimum_is_right"]
        for row in rows
    )
    print(f"\nWithin {LIMIT:.0e}, and no empty slot: {'yes' if good else 'NO'}")
    if options.json:
        result = {"machine": description, "trees": rows, "good": good}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
