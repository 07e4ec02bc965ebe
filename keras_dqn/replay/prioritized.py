"""Prioritized replay: transitions with a large TD error are sampled more often.

With the priority `p_i = |td_error_i| + priority_epsilon`, transition `i` is sampled
with probability

    P(i) = p_i^alpha / sum_k p_k^alpha

and the resulting bias of the gradient is corrected by the importance-sampling weight

    w_i = (N P(i))^-beta / max_k (N P(k))^-beta = (min_k p_k^alpha / p_i^alpha)^beta

which is at most 1. `N` and the sum cancel in the weight. So sampling needs the sum of
all `p^alpha`, and the weights need their minimum. `PriorityTree` keeps both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dqn import checks
from keras_dqn.replay.base import Replay
from keras_dqn.replay.checks import check_state_array
from keras_dqn.replay.checks import check_state_equals
from keras_dqn.replay.priority_tree import PriorityTree


class PrioritizedReplay(Replay):
    """Samples transitions in proportion to their priority, with replacement.

    A new transition gets the largest priority so far (at least 1), so that it is
    likely to be sampled soon.

    Args:
        capacity: Integer, the number of transitions kept. A multiple of the
            number of environments.
        alpha: Float in [0, 1], the priority exponent: 0 is uniform sampling.
        priority_epsilon: Float above 0, added to every `|td_error|`, so that every
            transition can be sampled.
        gamma: Float in [0, 1], the discount per step.
        n_steps: Integer, at least 1. The number of rewards in an n-step return.

    Attributes:
        max_priority: Float, the largest priority so far. It never decreases.
        tree: `PriorityTree` of `priority ** alpha` by slot, see `TransitionStore`.
            `None` before `build`.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), sections 3.3
          (proportional variant) and 3.4 (weights).
    """

    tree: PriorityTree
    max_priority: float

    def __init__(
        self,
        capacity: int,
        *,
        alpha: float = 0.6,
        priority_epsilon: float = 1e-6,
        gamma: float = 0.99,
        n_steps: int = 1,
    ) -> None:
        super().__init__(capacity, gamma=gamma, n_steps=n_steps)
        self.alpha = checks.probability("alpha", alpha)
        self.priority_epsilon = checks.number(
            "priority_epsilon", priority_epsilon, above=0.0
        )
        self.max_priority = 1.0
        self.tree = None  # type: ignore[assignment]

    def update_priorities(
        self, ids: np.ndarray | Sequence[Any], priorities: np.ndarray | Sequence[Any]
    ) -> None:
        """Sets the priorities of sampled transitions.

        If a transition occurs more than once, its last priority is used. Transitions
        that were overwritten since they were sampled are ignored.

        Args:
            ids: Integers, any shape: `ids` of a `Sample`.
            priorities: Floats, same shape: absolute TD errors, such as
                `Update.priorities`. Their sign is ignored.

        Raises:
            ValueError: If the shapes differ, if a priority is not finite, or if an
                id is of no transition that could be sampled so far. The priorities
                are then unchanged.
        """
        store = self._built_store()
        numbers, given = np.asarray(ids), np.asarray(priorities, np.float64)
        if numbers.shape != given.shape or numbers.dtype.kind not in "iu":
            raise ValueError(
                "`ids` must be integers, one for each of `priorities`. Received: "
                f"ids.shape={numbers.shape}, ids.dtype={numbers.dtype}, "
                f"priorities.shape={given.shape}"
            )
        numbers, given = numbers.ravel().astype(np.int64, copy=False), given.ravel()
        magnitudes = np.abs(given) + self.priority_epsilon
        first, stop = store.complete()
        if not self._all_stored_and_valid(numbers, magnitudes, first, stop):
            self._check_update(numbers, given, stop)
            is_stored = numbers >= first
            numbers, magnitudes = numbers[is_stored], magnitudes[is_stored]
        self.tree.set(numbers % self.capacity, magnitudes**self.alpha)
        self.max_priority = float(magnitudes.max(initial=self.max_priority))

    @property
    def settings(self) -> dict[str, Any]:
        """See `Replay.settings`."""
        return {
            **super().settings,
            "replay_kind": "prioritized",
            "alpha": self.alpha,
            "priority_epsilon": self.priority_epsilon,
        }

    def check_valid(self) -> None:
        """See `Replay.check_valid`. The nodes of the tree are checked too."""
        super().check_valid()
        self.tree.check_valid()
        if np.any(self.tree.leaves[self.size :]):
            raise ValueError("A slot without a transition must have priority 0.")

    def _draw(self, count, rng, beta):
        slots, leaves = self.tree.draw(rng.random(count))
        weights = (self.tree.min / leaves) ** beta
        newest = self._store.ring.time * self._store.num_envs - 1
        return newest - (newest - slots) % self.capacity, weights

    def _added(self, time):
        ring = self._store.ring
        if self.n_steps > 1:  # not sampled before its n-step return is known
            self.tree.set(ring.slots(time), self.tree.empty)
        complete = time - self.n_steps + 1
        if complete >= 0:
            self.tree.set(ring.slots(complete), self.max_priority**self.alpha)

    def _all_stored_and_valid(self, ids, priorities, first, stop):
        """Whether all ids are still stored and all priorities are valid, as usual."""
        if not len(ids):
            return True
        # An id below `first`, read as unsigned, is very large: one test for both ends.
        furthest = np.maximum.reduce((ids - first).view(np.uint64))
        return furthest < stop - first and np.maximum.reduce(priorities) <= self._limit

    def _check_update(self, ids, priorities, stop):
        is_good = np.abs(priorities) < self._limit
        if not is_good.all():
            raise ValueError(
                f"`priorities` must be below {self._limit:.3g}, and finite. Received: "
                f"{priorities[~is_good][0]} for transition {ids[~is_good][0]}"
            )
        if stop == 0:
            raise ValueError(
                "No priority can be set before a transition can be sampled, which is "
                "after `n_steps` steps."
            )
        is_good = (ids >= 0) & (ids < stop)
        if not is_good.all():
            raise ValueError(
                f"`ids` must be from 0 to {stop - 1}, as `sample` returned them. "
                f"Received: {ids[~is_good][0]} among them"
            )

    _priority_nbytes_each = 9  # a float64 leaf and its share of the nodes above

    def _build_priorities(self):
        self.tree = PriorityTree(self.capacity)
        # The largest priority for which the sum of all leaves stays finite.
        self._limit = np.finfo(np.float64).max / self.capacity

    def _priorities_nbytes(self):
        return self.tree.nbytes

    def _priorities_state(self):
        return {
            "alpha": np.array(self.alpha),
            "leaves": self.tree.leaves[: self.size].copy(),
            "max_priority": np.array(self.max_priority),
        }

    def _priorities_spec(self):
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
        # The powers may have been rounded differently.
        highest = maximum**self.alpha * (1.0 + 1e-9)
        if used and not (leaves.min() >= 0.0 and leaves.max() <= highest):
            raise ValueError(
                "`leaves` in the state must be from 0 to `max_priority ** alpha`."
            )
        if not np.array_equal(leaves == 0.0, self._is_incomplete(state)):
            raise ValueError(
                "`leaves` in the state must be above 0, except for the transitions "
                "whose n-step return is not complete."
            )

    def _is_incomplete(self, state):
        """Returns, for each slot, whether its n-step return is incomplete."""
        time, steps = int(state["time"]), self._store.ring.steps
        recent = np.arange(max(0, time - self.n_steps + 1), time) % steps
        is_incomplete = np.zeros((min(time, steps), self._store.num_envs), np.bool_)
        is_incomplete[recent] = True
        return is_incomplete.ravel()

    def _load_priorities(self, state):
        leaves = np.zeros(self.capacity)
        leaves[: self.size] = state["leaves"]
        self.tree.set(slice(0, self.capacity), leaves)
        self.max_priority = float(state["max_priority"])
