"""Prioritized replay: the more a transition surprised, the likelier it is drawn.

With the priority `p_i = |td_error_i| + priority_epsilon`, transition `i` is drawn
with probability

    P(i) = p_i^alpha / sum_k p_k^alpha

and what this does to the expected gradient is made up for by the weight

    w_i = (N P(i))^-beta / max_k (N P(k))^-beta = (min_k p_k^alpha / p_i^alpha)^beta

which is at most 1. `N` and the sum cancel out: the sum and the minimum of `p^alpha`
are all there is to keep, in one tree.
"""

import warnings

import numpy as np

from keras_dqn import checks
from keras_dqn.replay import compiled as compiler
from keras_dqn.replay.base import Replay
from keras_dqn.replay.checks import check_state_array
from keras_dqn.replay.checks import check_state_equals
from keras_dqn.replay.priority_tree import PriorityTree


class PrioritizedReplay(Replay):
    """Draws transitions by proportional priority, independently, with replacement.

    A new transition gets the highest priority there has been (1 at first), so
    that it is likely to be seen soon. The maximum never falls.

    Args:
        capacity: Integer, the number of transitions kept. A multiple of the
            number of environments.
        alpha: Float in [0, 1]. How much priorities count: 0 is uniform.
        priority_epsilon: Float above 0, added to every `|td_error|`, so that no
            transition becomes impossible to draw.
        gamma: Float in [0, 1], the discount per step.
        n_steps: Integer, at least 1: how many rewards a return sums.
        compiled: Whether Numba compiles what draws and writes priorities: the same
            bits, in less time, but a second or two at first. `"auto"`: where it is
            installed, if there are more than 1,024 transitions. Or a boolean.

    Attributes:
        is_compiled: Boolean, whether it did, once `build` was called.

    Raises:
        ValueError: If an argument is out of range.
        ImportError: By `build`, if `compiled=True` and Numba cannot be imported.

    Reference:
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), sections 3.3
          (proportional variant) and 3.4 (weights).
    """

    def __init__(
        self,
        capacity,
        *,
        alpha=0.6,
        priority_epsilon=1e-6,
        gamma=0.99,
        n_steps=1,
        compiled="auto",
    ):
        super().__init__(capacity, gamma=gamma, n_steps=n_steps)
        self.alpha = checks.probability("alpha", alpha)
        self.priority_epsilon = checks.number(
            "priority_epsilon", priority_epsilon, above=0.0
        )
        if compiled != "auto" and not isinstance(compiled, bool):
            raise ValueError(
                "`compiled` must be 'auto', True or False. "
                f"Received: compiled={compiled!r}"
            )
        self.compiled = compiled
        self.max_priority = 1.0

    def update_priorities(self, ids, td_errors):
        """Sets the priorities of sampled transitions.

        Where a transition occurs more than once, its last TD error counts. One
        which has been overwritten since it was sampled is left out.

        Args:
            ids: Integers, any shape: `ids` of a `Sample`.
            td_errors: Floats, same shape. Their sign does not matter.

        Raises:
            ValueError: If the shapes differ, if a TD error is not finite, or if
                an id is none that could have been sampled. Then nothing changes.
        """
        store = self._built_store()
        ids, td_errors = np.asarray(ids), np.asarray(td_errors, np.float64)
        if ids.shape != td_errors.shape or ids.dtype.kind not in "iu":
            raise ValueError(
                "`ids` must be integers, one for each of `td_errors`. Received: "
                f"ids.shape={ids.shape}, ids.dtype={ids.dtype}, "
                f"td_errors.shape={td_errors.shape}"
            )
        ids, td_errors = ids.ravel().astype(np.int64, copy=False), td_errors.ravel()
        priorities = np.abs(td_errors) + self.priority_epsilon
        first, stop = store.complete()
        if not self._are_ordinary(ids, priorities, first, stop):
            self._check_update(ids, td_errors, stop)
            is_stored = ids >= first
            ids, priorities = ids[is_stored], priorities[is_stored]
        self._tree.set(ids % self.capacity, priorities**self.alpha)
        self.max_priority = float(priorities.max(initial=self.max_priority))

    def priority_summary(self):
        """Returns a dictionary that shows what prioritization is doing, in floats.

        `max_priority`: the priority of new transitions. `min_probability` and
        `max_probability`: of the least and the most likely transition, relative to
        a uniform draw; both are 1 while priorities make no difference.
        """
        first, stop = self._built_store().complete()
        uniform = self._tree.total / max(stop - first, 1) or 1.0
        return {
            "max_priority": self.max_priority,
            "min_probability": self._tree.min / uniform if stop > first else 1.0,
            "max_probability": float(self._tree.leaves.max()) / uniform or 1.0,
        }

    def check_valid(self):
        """See `Replay.check_valid`. The tree's nodes are checked as well."""
        super().check_valid()
        self._tree.check_valid()
        if np.any(self._tree.leaves[self.size :]):
            raise ValueError("A slot without a transition must have priority 0.")

    def _draw(self, count, rng, beta):
        slots, leaves = self._tree.draw(rng.random(count))
        weights = (self._tree.min / leaves) ** beta
        newest = self._store.ring.time * self._store.num_envs - 1
        return newest - (newest - slots) % self.capacity, weights

    def _added(self, time):
        ring = self._store.ring
        if self.n_steps > 1:  # what was there is gone, and its n steps are not yet in
            self._tree.set(ring.slots(time), self._tree.empty)
        complete = time - self.n_steps + 1
        if complete >= 0:
            self._tree.set(ring.slots(complete), self.max_priority**self.alpha)

    def _are_ordinary(self, ids, priorities, first, stop):
        """Whether all are stored still and can be written: nearly always."""
        if not len(ids):
            return True
        # Seen as unsigned, an id before the first is a huge one: one test for both.
        furthest = np.maximum.reduce((ids - first).view(np.uint64))
        return furthest < stop - first and np.maximum.reduce(priorities) <= self._limit

    def _check_update(self, ids, td_errors, stop):
        is_good = np.abs(td_errors) < self._limit
        if not is_good.all():
            raise ValueError(
                f"`td_errors` must be below {self._limit:.3g}, and finite. Received: "
                f"{td_errors[~is_good][0]} for transition {ids[~is_good][0]}"
            )
        is_good = (ids >= 0) & (ids < stop)
        if not is_good.all():
            raise ValueError(
                f"`ids` must be from 0 to {stop - 1}, as transitions were numbered "
                f"so far. Received: {ids[~is_good][0]} among them"
            )

    _priority_nbytes_each = 9  # a leaf of float64, and the nodes above

    def _build_priorities(self):
        self._tree = self._make_tree()
        # Of a priority, and so of a leaf: their sum stays finite.
        self._limit = np.finfo(np.float64).max / self.capacity

    def _make_tree(self):
        is_wanted = self.compiled
        if is_wanted == "auto":
            is_large = self.capacity > PriorityTree.max_top
            is_wanted = is_large and compiler.is_installed()
        if is_wanted:
            try:
                tree = PriorityTree(self.capacity, compiled=True)
            except ImportError as error:
                if self.compiled != "auto":
                    raise
                warnings.warn(
                    f"Numba cannot be used, and NumPy is in its place: {error}",
                    stacklevel=2,
                )
            else:
                self.is_compiled = True
                return tree
        return PriorityTree(self.capacity)

    def _priorities_nbytes(self):
        return self._tree.nbytes

    def _priorities_state(self):
        return {
            "alpha": np.array(self.alpha),
            "leaves": self._tree.leaves[: self.size].copy(),
            "max_priority": np.array(self.max_priority),
        }

    def _priorities_limits(self):
        return {
            "alpha": (np.float64, ()),
            "leaves": (np.float64, (self.capacity,)),
            "max_priority": (np.float64, ()),
        }

    def _check_priorities(self, state):
        check_state_equals(state, "alpha", np.array(self.alpha))
        used = len(state["actions"])
        check_state_array(state, "leaves", (used,), np.float64)
        check_state_array(state, "max_priority", (), np.float64)
        leaves, maximum = state["leaves"], float(state["max_priority"])
        if not 1.0 <= maximum < np.inf:
            raise ValueError(
                "`max_priority` in the state must be finite, at least 1. "
                f"Received: max_priority={maximum}"
            )
        highest = maximum**self.alpha * (1.0 + 1e-9)  # powers may differ in rounding
        if used and not (leaves.min() >= 0.0 and leaves.max() <= highest):
            raise ValueError(
                "`leaves` in the state must be from 0 to `max_priority ** alpha`."
            )
        if not np.array_equal(leaves == 0.0, self._is_incomplete(state)):
            raise ValueError(
                "`leaves` in the state must be above 0, but for the transitions "
                "whose `n_steps` are not complete."
            )

    def _is_incomplete(self, state):
        """By slot, whether the transition has steps to look at yet to come."""
        time, steps = int(state["time"]), self._store.ring.steps
        recent = np.arange(max(0, time - self.n_steps + 1), time) % steps
        is_incomplete = np.zeros((min(time, steps), self._store.num_envs), np.bool_)
        is_incomplete[recent] = True
        return is_incomplete.ravel()

    def _load_priorities(self, state):
        leaves = np.zeros(self.capacity)
        leaves[: self.size] = state["leaves"]
        self._tree.set(slice(0, self.capacity), leaves)
        self.max_priority = float(state["max_priority"])
