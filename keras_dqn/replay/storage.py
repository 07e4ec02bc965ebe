"""Stores the transitions of a replay, and computes the n-step returns of a sample.

A stored transition is one step of one environment: an observation, the action, the
reward and the next observation. A sampled transition has the n-step return:

    rewards    R = r_t + gamma r_{t+1} + ... + gamma^{m-1} r_{t+m-1}
    discounts  D = gamma^m, or 0 if the last of these steps terminated

so the target is always `R + D * Q(next_observations, ...)`. `m` is `n_steps`, or less
if the episode ended earlier. If an episode is truncated (by a time limit or by a
reset), its last state still has a value, so `D` is kept; if it terminated, `D` is 0.
The learner sees only `D`, and needs no case for termination or truncation.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn.replay import checks
from keras_dqn.replay.frames import FrameRing


class TransitionStore:
    """The last `capacity` transitions of environments that step together.

    Transitions are numbered from 0 (`id`) in the order they were added: by step, and
    within a step by environment. Transition `id` is in slot `id % capacity`.

    Args:
        capacity: Integer, a multiple of `num_envs`.
        gamma: Float, the discount per step.
        n_steps: Integer, the number of rewards in an n-step return.
        num_envs: Integer, the number of environments.
        stored_shape, dtype, frame_stack: See `FrameRing`.
    """

    def __init__(
        self,
        capacity: int,
        gamma: float,
        n_steps: int,
        *,
        num_envs: int,
        stored_shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        frame_stack: int,
    ) -> None:
        self.capacity = capacity
        self.num_envs = num_envs
        self.n_steps = n_steps
        steps = capacity // num_envs
        self.ring = FrameRing(steps, num_envs, stored_shape, dtype, frame_stack)
        self._actions = np.zeros(capacity, np.int32)
        self._rewards = np.zeros(capacity, np.float32)
        self._terminated = np.zeros(capacity, np.bool_)
        self._powers = gamma ** np.arange(n_steps + 1, dtype=np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes allocated, including parts that are not written yet."""
        arrays = (self._actions, self._rewards, self._terminated)
        return self.ring.nbytes + sum(array.nbytes for array in arrays)

    @staticmethod
    def nbytes_when_full(
        capacity: int,
        *,
        num_envs: int,
        stored_shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        frame_stack: int,
    ) -> int:
        """Returns how many bytes a full store needs, without making one."""
        steps = capacity // num_envs
        each = np.dtype(np.int32).itemsize + np.dtype(np.float32).itemsize + 1
        return capacity * each + FrameRing.nbytes_when_full(
            steps, num_envs, stored_shape, dtype, frame_stack
        )

    @property
    def size(self) -> int:
        """The number of transitions stored."""
        return min(self.ring.time * self.num_envs, self.capacity)

    def start(self, observations: np.ndarray) -> None:
        """See `Replay.start`."""
        ring = self.ring
        self._check_observations("observations", observations)
        ring.check_start(observations, range(self.num_envs))
        ring.start(observations)

    def add(self, actions: np.ndarray | Sequence[Any], step: Any) -> None:
        """See `Replay.add`."""
        ring = self.ring
        if not ring.is_started:
            raise ValueError("Call `start` before the first `add`.")
        self._check_observations("observations", step.observations)
        if step.final_observations is not step.observations:
            self._check_observations("final_observations", step.final_observations)
        actions = checks.checked_actions(actions, self.num_envs)
        rewards = checks.checked_rewards(step.training_rewards, self.num_envs)
        terminated, restarted = checks.checked_ends(step, self.num_envs)
        ring.check_step(step.observations, step.final_observations, restarted)
        slots = ring.slots(ring.time)
        self._actions[slots] = actions
        self._rewards[slots] = rewards
        self._terminated[slots] = terminated
        ring.push(step.observations, step.final_observations, restarted)

    def complete(self) -> tuple[int, int]:
        """Returns `(first, stop)`: transitions `first` to `stop - 1` can be sampled.

        A transition is complete once the `n_steps` steps of its return are stored.
        """
        ring = self.ring
        first = max(0, ring.time - ring.steps)
        stop = max(first, ring.time - self.n_steps + 1)
        return first * self.num_envs, stop * self.num_envs

    def batch(self, ids: np.ndarray, as_numbers: bool = False) -> dict[str, np.ndarray]:
        """Returns complete transitions: `Sample.batch` without the weights.

        Args:
            ids: Integer array, shape `(n,)`.
            as_numbers: Boolean. Whether to return the frames' row numbers in the
                attached copy instead of the frames, see `Mirror.numbers`.
        """
        slots = ids % self.capacity
        if self.n_steps == 1:  # the same as `_returns`, but faster
            rewards, last_ids = self._rewards.take(slots), ids
            discounts = np.where(self._terminated.take(slots), 0.0, self._powers[1])
        else:
            rewards, discounts, last_ids = self._returns(ids)
        gather = self.ring.mirror.numbers if as_numbers else self.ring.gather
        observations, next_observations = self._stacks(ids, last_ids, gather)
        return {
            "observations": observations,
            "actions": self._actions.take(slots),
            "rewards": rewards.astype(np.float32, copy=False),
            "discounts": discounts.astype(np.float32),
            "next_observations": next_observations,
        }

    def _returns(self, ids):
        """Returns n-step returns, discounts, and the last transition of each."""
        steps = ids[:, None] + self.num_envs * np.arange(self.n_steps)
        slots = steps % self.capacity
        terminated = self._terminated[slots]
        stops = terminated | self.ring.ended[slots]
        continues = np.cumsum(stops[:, :-1], axis=1) == 0  # after step 0, 1, ...
        lengths = 1 + continues.sum(axis=1)
        rewards = self._rewards[slots] * self._powers[:-1]
        rewards[:, 1:] *= continues
        last = np.arange(len(ids)), lengths - 1
        discounts = np.where(terminated[last], 0.0, self._powers[lengths])
        return rewards.sum(axis=1), discounts, steps[last]

    def _stacks(self, ids, last_ids, gather):
        """Returns the observations of `ids`, and those after `last_ids`."""
        ring = self.ring
        oldest = 1 - ring.depth
        if self.n_steps == 1:  # both are views of one window
            windows = gather(ids, oldest, 1)
            observations, next_observations = windows[:, :-1], windows[:, 1:]
        else:
            observations = gather(ids, oldest, 0)
            next_observations = gather(last_ids, oldest + 1, 1)
        if ring.frame_stack:
            return observations, next_observations
        return observations[:, 0], next_observations[:, 0]

    def _check_observations(self, name, value):
        shape = (self.num_envs, *self.ring.stored_shape)
        checks.check_observations(name, value, shape, self.ring.dtype)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns everything as arrays by name. `frames` is a view, not a copy."""
        used = self.size
        return {
            **{
                name: np.array(value)
                for name, value in self._required_arguments().items()
            },
            **self.ring.state_dict(),
            "actions": self._actions[:used].copy(),
            "rewards": self._rewards[:used].copy(),
            "terminated": self._terminated[:used].copy(),
        }

    def state_spec(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """See `Replay.state_spec`."""
        slots = (self.capacity,)
        return {
            **{name: (np.int64, ()) for name in self._required_arguments()},
            **self.ring.state_spec(),
            "actions": (np.int32, slots),
            "rewards": (np.float32, slots),
            "terminated": (np.bool_, slots),
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raises `ValueError` if `state` is not a valid state of this store."""
        for name, value in self._required_arguments().items():
            checks.check_state_equals(state, name, np.array(value))
        self.ring.check_state(state)
        used = min(int(state["time"]) * self.num_envs, self.capacity)
        checks.check_state_array(state, "actions", (used,), np.int32)
        checks.check_state_array(state, "rewards", (used,), np.float32)
        checks.check_state_array(state, "terminated", (used,), np.bool_)
        if np.any(state["actions"] < 0):
            raise ValueError("`actions` in the state must not be negative.")
        if not np.all(np.isfinite(state["rewards"])):
            raise ValueError("`rewards` in the state must be finite.")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state that `check_state` has checked."""
        self.ring.load_state_dict(state)
        used = self.size
        self._actions[:used] = state["actions"]
        self._rewards[:used] = state["rewards"]
        self._terminated[:used] = state["terminated"]

    def _required_arguments(self):
        """Returns the arguments that a state must have been saved with, by name."""
        return {
            "capacity": self.capacity,
            "num_envs": self.num_envs,
            "frame_stack": self.ring.frame_stack,
            "n_steps": self.n_steps,
        }
