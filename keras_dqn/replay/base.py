"""The base class of uniform and prioritized replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn import checks
from keras_dqn.replay import mirror
from keras_dqn.replay.checks import check_capacity
from keras_dqn.replay.checks import checked_spec
from keras_dqn.replay.sample import Sample
from keras_dqn.replay.storage import TransitionStore
from keras_dqn.system import memory


class Replay:
    """A ring buffer of the last `capacity` transitions.

    All environments step together: each `add` stores one transition of each.
    Subclasses define the probability with which each transition is sampled.

    Args:
        capacity: Integer, the number of transitions kept. A multiple of the
            number of environments.
        gamma: Float in [0, 1], the discount per step.
        n_steps: Integer, at least 1. The number of rewards in an n-step return.

    Attributes:
        max_priority: Float, the largest priority so far. `None` without priorities.

    Raises:
        ValueError: If an argument is out of range.
    """

    max_priority: float | None = None

    def __init__(self, capacity: int, *, gamma: float = 0.99, n_steps: int = 1) -> None:
        self.capacity = checks.integer("capacity", capacity, minimum=1)
        self.gamma = checks.probability("gamma", gamma)
        self.n_steps = checks.integer("n_steps", n_steps, minimum=1)
        self._spec: dict[str, Any] | None = None
        self._store: TransitionStore | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `Settings` that describe this replay, by name."""
        return {
            "replay_kind": "uniform",
            "replay_capacity": self.capacity,
            "gamma": self.gamma,
            "n_steps": self.n_steps,
        }

    def build(
        self,
        *,
        num_envs: int,
        stored_shape: Sequence[int],
        dtype: npt.DTypeLike,
        frame_stack: int = 0,
    ) -> None:
        """Allocates the storage. A second call with the same arguments does nothing.

        Args:
            num_envs: Integer, the number of environments that step together.
            stored_shape: Tuple of integers, the shape of one observation.
            dtype: The observations' dtype: boolean, integer or float.
            frame_stack: Integer. If not 0, observations are stacks of this many
                frames, oldest first, along the first axis.

        Raises:
            ValueError: If an argument is out of range, if `capacity` is not a
                multiple of `num_envs` or not above `n_steps * num_envs`, or if the
                replay was built with other arguments before.
            MemoryError: If the full replay would not fit into memory.
        """
        spec = self._checked_spec(num_envs, stored_shape, dtype, frame_stack)
        if self._spec is None:
            what = f"A replay of {self.capacity:,} transitions"
            memory.check_fits(self.nbytes_when_full(**spec), what)
            self._store = TransitionStore(
                self.capacity, self.gamma, self.n_steps, **spec
            )
            self._build_priorities()
            self._spec = spec
        elif self._spec != spec:
            raise ValueError(
                "The replay is built already and cannot be built again with other "
                f"arguments. It was built with {self._spec}. Received: {spec}"
            )

    def start(self, observations: np.ndarray) -> None:
        """Stores the first observations after a reset.

        Episodes that were running are truncated: their last transitions keep their
        true next observation and their discount.

        Args:
            observations: Array, shape `(num_envs, *stored_shape)`.

        Raises:
            ValueError: If the shape or the dtype is wrong, or if the older frames
                of a stack are not zeros.
        """
        self._built_store().start(observations)

    def add(self, actions: np.ndarray | Sequence[Any], step: Any) -> None:
        """Stores one step of all environments. If it raises, nothing is stored.

        Args:
            actions: Integers, shape `(num_envs,)`: the actions taken.
            step: Their results: an object with the arrays `observations`,
                `training_rewards`, `terminated`, `truncated`, `restarted` and
                `final_observations`, see `keras_dqn.envs.Step`.

        Raises:
            ValueError: If an array has the wrong shape or dtype, if a reward is
                not finite, or if the stacks do not continue those of the step
                before.
        """
        store = self._built_store()
        store.add(actions, step)
        self._added(store.ring.time - 1)

    def attach_frames(
        self, make_copy: Callable[[int, tuple[int, ...], np.dtype], Any] | None
    ) -> Any:
        """Keeps a second copy of all frames up to date, such as on an accelerator.

        Each frame is written to the copy once, when it is stored. The replay keeps
        its own frames too: checkpoints are made from them.

        Args:
            make_copy: Callable `(rows, frame_shape, dtype)` that returns the copy,
                an object with the methods listed in `mirror.Mirror`. `None` stops
                copying.

        Returns:
            The copy, or `None`.

        Raises:
            ValueError: If there are more than 2**30 frames.
        """
        ring = self._built_store().ring
        ring.mirror = copy = None
        if make_copy is not None:
            copy = make_copy(mirror.rows_of(ring), ring.frame_shape, ring.dtype)
            ring.mirror = mirror.Mirror(ring, copy)
        return copy

    @property
    def attached_frames(self) -> Any:
        """The copy that the last `attach_frames` made, or `None`."""
        attached = self._built_store().ring.mirror
        return None if attached is None else attached.copy

    def sample(
        self,
        batch_size: int,
        rng: np.random.Generator,
        *,
        beta: float = 1.0,
        batches: int | None = None,
        frames: str = "stacks",
    ) -> Sample:
        """Samples transitions, independently and with replacement.

        A transition can be sampled once its n-step return is known, that is
        `n_steps - 1` steps after it was added.

        Args:
            batch_size: Integer, at least 1.
            rng: `numpy.random.Generator`, the only source of randomness.
            beta: Float in [0, 1], the importance-sampling exponent: 0 gives weights
                of 1, 1 corrects the bias of prioritized sampling fully. Uniform
                replay ignores it.
            batches: Optional integer. If given, this many minibatches are sampled
                with the same priorities, along a new first axis.
            frames: `"stacks"` returns observations. `"numbers"` returns the row
                numbers of their frames in the copy that `attach_frames` made.

        Returns:
            A `Sample`. No later call changes its arrays.

        Raises:
            ValueError: If an argument is out of range, or if no transition can be
                sampled yet.
        """
        store = self._built_store()
        shape: tuple[int, ...]
        shape = (checks.integer("batch_size", batch_size, minimum=1),)
        if batches is not None:
            shape = (checks.integer("batches", batches, minimum=1), *shape)
        beta = checks.probability("beta", beta)
        if not isinstance(rng, np.random.Generator):
            raise checks.ArgumentError("rng", "a `numpy.random.Generator`", rng)
        first, stop = store.complete()
        if first == stop:
            raise ValueError(
                "There is nothing to sample yet: at least `n_steps` steps must be "
                f"added first. Received: {store.ring.time} steps, "
                f"n_steps={self.n_steps}"
            )
        checks.choice("frames", frames, ("stacks", "numbers"))
        as_numbers = frames == "numbers"
        if as_numbers and store.ring.mirror is None:
            raise ValueError("Call `attach_frames` before `sample(frames='numbers')`.")
        ids, weights = self._draw(math.prod(shape), rng, beta)
        batch = store.batch(ids, as_numbers)
        batch["weights"] = weights.astype(np.float32)
        if batches is not None:
            for name, array in batch.items():
                batch[name] = array.reshape(*shape, *array.shape[1:])
        newest = store.ring.time * store.num_envs - 1
        return Sample(batch=batch, ids=ids.reshape(shape), newest=newest)

    def update_priorities(
        self, ids: np.ndarray | Sequence[Any], priorities: np.ndarray | Sequence[Any]
    ) -> None:
        """Sets the priorities of sampled transitions. Uniform replay does nothing."""

    @property
    def size(self) -> int:
        """The number of transitions stored."""
        return 0 if self._store is None else self._store.size

    def __len__(self) -> int:
        return self.size

    @property
    def is_full(self) -> bool:
        """Whether the next transition overwrites the oldest one."""
        return self.size == self.capacity

    @property
    def nbytes(self) -> int:
        """Bytes allocated, including those not written yet, which use no memory."""
        if self._store is None:
            return 0
        return self._store.nbytes + self._priorities_nbytes()

    def nbytes_when_full(
        self,
        *,
        num_envs: int,
        stored_shape: Sequence[int],
        dtype: npt.DTypeLike,
        frame_stack: int = 0,
    ) -> int:
        """Returns about how many bytes a replay built with these arguments needs."""
        spec = self._checked_spec(num_envs, stored_shape, dtype, frame_stack)
        priorities = self.capacity * self._priority_nbytes_each
        return priorities + TransitionStore.nbytes_when_full(self.capacity, **spec)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns the full state as NumPy arrays by name, for an exact resume.

        Slots that were never filled are left out. `frames` is a view of the replay's
        memory, because a copy would double it: save it before the next `add`.
        """
        return {**self._built_store().state_dict(), **self._priorities_state()}

    def state_spec(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Returns the names, dtypes and largest shapes of the arrays of a state.

        Returns:
            Dictionary: name to `(dtype, shape)`. An array of a state may be shorter
            in any dimension, but not longer.
        """
        return {**self._built_store().state_spec(), **self._priorities_spec()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict` returned.

        The replay must have been built with the same arguments.

        Args:
            state: Dictionary of NumPy arrays. `frames` may also be an object with
                `shape`, `dtype` and a method `read_into(array)`, which is called
                after everything else was checked.

        Raises:
            ValueError: If an entry of `state` is missing, unknown or invalid. The
                replay is then unchanged.
        """
        store = self._built_store()
        self._check_state(state)
        store.load_state_dict(state)
        self._load_priorities(state)

    def check_valid(self) -> None:
        """Raises `ValueError`, with the reason, if the replay's state is invalid."""
        self._check_state(self.state_dict())

    def _check_state(self, state):
        unknown = sorted(set(state) - set(self.state_dict()))
        if unknown:
            raise ValueError(f"The state has unknown entries. Received: {unknown}")
        self._store.check_state(state)
        self._check_priorities(state)

    def _built_store(self):
        if self._store is None:
            raise ValueError("The replay has no storage yet. Call `build` first.")
        return self._store

    def _checked_spec(self, num_envs, stored_shape, dtype, frame_stack):
        spec = checked_spec(num_envs, stored_shape, dtype, frame_stack)
        check_capacity(self.capacity, self.n_steps, spec["num_envs"])
        return spec

    # A subclass defines `_draw`, and the rest if it stores priorities.

    _priority_nbytes_each = 0  # per transition

    def _draw(self, count, rng, beta):
        """Returns ids (int64) and weights (float) of transitions, shape `(count,)`."""
        raise NotImplementedError

    def _added(self, time):
        """Called after step number `time` was stored."""

    def _build_priorities(self):
        """Allocates the priorities."""

    def _priorities_nbytes(self):
        return 0

    def _priorities_state(self):
        return {}

    def _priorities_spec(self):
        return {}

    def _check_priorities(self, state):
        """Raises `ValueError` if the priorities do not fit the rest of the state."""

    def _load_priorities(self, state):
        """Restores the priorities from a state that was checked."""
