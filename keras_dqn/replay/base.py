"""What uniform and prioritized replay have in common: all but the chances."""

import dataclasses
import math

import numpy as np

from keras_dqn import checks
from keras_dqn.replay import mirror
from keras_dqn.replay.checks import checked_spec
from keras_dqn.replay.storage import TransitionStore
from keras_dqn.system import memory


@dataclasses.dataclass(frozen=True)
class Sample:
    """Transitions drawn from a replay.

    Attributes:
        batch: Dictionary of arrays; `n` is `(batch_size,)`, or
            `(batches, batch_size)`. `observations` and `next_observations`,
            `(*n, *stored_shape)`: they may share memory, so write to neither.
            With `frames="numbers"` they are int32 numbers of frames in the copy
            that was attached: `(*n, frame_stack)`, or `n` without stacks.
            `actions`, int32, shape `n`. `rewards`, `discounts` and `weights`,
            float32, shape `n`.
        ids: int64, shape `n`, to be handed to `update_priorities`.
    """

    batch: dict[str, np.ndarray]
    ids: np.ndarray


class Replay:
    """A ring of the last `capacity` transitions of environments in lock-step.

    Subclasses decide how likely each transition is to be drawn.

    Args:
        capacity: Integer, the number of transitions kept. A multiple of the
            number of environments.
        gamma: Float in [0, 1], the discount per step.
        n_steps: Integer, at least 1: how many rewards a return sums.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, capacity, *, gamma=0.99, n_steps=1):
        self.capacity = checks.integer("capacity", capacity, minimum=1)
        self.gamma = checks.probability("gamma", gamma)
        self.n_steps = checks.integer("n_steps", n_steps, minimum=1)
        self._spec = None
        self._store = None

    def build(self, *, num_envs, stored_shape, dtype, frame_stack=0):
        """Allocates the storage. Again with the same arguments does nothing.

        Args:
            num_envs: Integer, the number of environments that step together.
            stored_shape: Tuple of integers, the shape of one observation.
            dtype: The observations' dtype: booleans, integers or floats.
            frame_stack: Integer. If not 0, observations are stacks of so many
                frames, oldest first, along the first axis.

        Raises:
            ValueError: If an argument is out of range, if `capacity` is not a
                multiple of `num_envs` or leaves no room for `n_steps`, or if the
                replay was built with other arguments.
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
                f"The replay is built already, with {self._spec}, and cannot be "
                f"built otherwise. Received: {spec}"
            )

    def start(self, observations):
        """Takes the first observations after a reset.

        Episodes that were running are cut: their last transitions keep their true
        successors, and their value beyond the cut.

        Args:
            observations: Array, shape `(num_envs, *stored_shape)`.

        Raises:
            ValueError: If the shape or the dtype is wrong, or if a first stack is
                not padded with zeros.
        """
        self._built_store().start(observations)

    def add(self, actions, step):
        """Stores one step of all environments. Nothing is stored if it raises.

        Args:
            actions: Integers, shape `(num_envs,)`: what was done.
            step: What came of it: an object with the arrays `observations`,
                `training_rewards`, `terminated`, `truncated`, `restarted` and
                `final_observations`, as `keras_dqn.envs.Step` has them.

        Raises:
            ValueError: If an array has the wrong shape or dtype, if a reward is
                not finite, or if the step does not continue the one before.
        """
        store = self._built_store()
        store.add(actions, step)
        self._added(store.ring.time - 1)

    def attach_frames(self, make_copy):
        """Keeps a copy of all frames up to date elsewhere, as on an accelerator.

        Every frame is sent there once, when it is stored. The replay keeps its own
        as well: checkpoints are made of them.

        Args:
            make_copy: Callable `(rows, frame_shape, dtype)` that returns an object
                like `mirror.HostFrames`; or `None`, which ends the copying.

        Returns:
            The copy, or `None`.

        Raises:
            ValueError: If there are more frames than 30 bits can number.
        """
        ring = self._built_store().ring
        ring.mirror = copy = None
        if make_copy is not None:
            copy = make_copy(mirror.rows_of(ring), ring.frame_shape, ring.dtype)
            ring.mirror = mirror.Mirror(ring, copy)
        return copy

    @property
    def attached_frames(self):
        """The copy that `attach_frames` made last, or `None`."""
        attached = self._built_store().ring.mirror
        return None if attached is None else attached.copy

    def sample(self, batch_size, rng, *, beta=1.0, batches=None, frames="stacks"):
        """Draws transitions, independently and with replacement.

        With `n_steps` above 1, a transition can be drawn once the steps it may
        look at are stored, `n_steps - 1` steps after its own.

        Args:
            batch_size: Integer, at least 1.
            rng: `numpy.random.Generator`. All chance comes from it.
            beta: Float in [0, 1]. How far the weights make up for the
                probabilities: 0 not at all, 1 fully. Uniform replay has nothing
                to make up for, and its weights are 1.
            batches: Optional integer. If given, so many batches are drawn at
                once, from the same priorities, along a new first axis.
            frames: `"stacks"`: observations as they were seen. `"numbers"`: the
                numbers of their frames in the copy of `attach_frames`.

        Returns:
            A `Sample`. Its arrays are the caller's; no later call changes them.

        Raises:
            ValueError: If an argument is out of range, or if no transition can be
                drawn yet.
        """
        store = self._built_store()
        shape = (checks.integer("batch_size", batch_size, minimum=1),)
        if batches is not None:
            shape = (checks.integer("batches", batches, minimum=1), *shape)
        beta = checks.probability("beta", beta)
        if not isinstance(rng, np.random.Generator):
            raise ValueError(
                "`rng` must be a `numpy.random.Generator`. "
                f"Received: rng of type {type(rng).__name__}"
            )
        first, stop = store.complete()
        if first == stop:
            raise ValueError(
                "There is nothing to sample yet: as many as `n_steps` steps must be "
                f"added before. Received: {store.ring.time}, n_steps={self.n_steps}"
            )
        if frames not in ("stacks", "numbers"):
            raise ValueError(
                f"`frames` must be 'stacks' or 'numbers'. Received: frames={frames!r}"
            )
        as_numbers = frames == "numbers"
        if as_numbers and store.ring.mirror is None:
            raise ValueError("`attach_frames` must come before `frames='numbers'`.")
        ids, weights = self._draw(math.prod(shape), rng, beta)
        batch = store.batch(ids, as_numbers)
        batch["weights"] = weights.astype(np.float32)
        if batches is not None:
            for name, array in batch.items():
                batch[name] = array.reshape(*shape, *array.shape[1:])
        return Sample(batch=batch, ids=ids.reshape(shape))

    def update_priorities(self, ids, td_errors):
        """Takes the TD errors of sampled transitions. Without priorities: ignored."""

    @property
    def size(self):
        """The number of transitions stored."""
        return 0 if self._store is None else self._store.size

    def __len__(self):
        return self.size

    @property
    def is_full(self):
        """Whether the next transition will overwrite the oldest."""
        return self.size == self.capacity

    @property
    def nbytes(self):
        """Bytes allocated. Those not written yet are counted, and take no memory."""
        if self._store is None:
            return 0
        return self._store.nbytes + self._priorities_nbytes()

    def nbytes_when_full(self, *, num_envs, stored_shape, dtype, frame_stack=0):
        """Returns about how many bytes the full replay will hold, if built so."""
        spec = self._checked_spec(num_envs, stored_shape, dtype, frame_stack)
        priorities = self.capacity * self._priority_nbytes_each
        return priorities + TransitionStore.nbytes_when_full(self.capacity, **spec)

    def state_dict(self):
        """Returns everything as NumPy arrays by name, for an exact continuation.

        Only what is filled is in it. `frames` is a view of the replay's own memory
        (a copy would need as much again): write it to disk before the next `add`.
        """
        return {**self._built_store().state_dict(), **self._priorities_state()}

    def state_spec(self):
        """Returns what a state of this replay may be, before one is read.

        Returns:
            Dictionary: name to `(dtype, shape)`. A state has just these names and
            dtypes, and no length that is larger.
        """
        return {**self._built_store().state_spec(), **self._priorities_limits()}

    def load_state_dict(self, state):
        """Goes on from a state of `state_dict`, of a replay built the same way.

        Args:
            state: Dictionary of NumPy arrays, which may be memory-mapped files.
                `frames` may also be an object with `shape`, `dtype` and a function
                `read_into(array)`, which is called when all else was found good.

        Raises:
            ValueError: If anything in `state` is missing, unknown or impossible.
                Then the replay stays as it was.
        """
        store = self._built_store()
        self._check_state(state)
        store.load_state_dict(state)
        self._load_priorities(state)

    def check_valid(self):
        """Raises `ValueError`, with the reason, if the replay is inconsistent."""
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
        num_envs = spec["num_envs"]
        if self.capacity % num_envs:
            raise ValueError(
                "`capacity` must be a multiple of `num_envs`. "
                f"Received: capacity={self.capacity}, num_envs={num_envs}"
            )
        if self.capacity <= self.n_steps * num_envs:
            raise ValueError(
                "`capacity` must be more than `n_steps * num_envs`. Received: "
                f"capacity={self.capacity}, n_steps={self.n_steps}, "
                f"num_envs={num_envs}"
            )
        return spec

    is_compiled = False  # whether Numba compiled its trees

    # What a subclass decides. It has at least `_draw`.

    _priority_nbytes_each = 0  # per transition

    def _draw(self, count, rng, beta):
        """Returns ids (int64) and weights of transitions, each of shape `(count,)`."""
        raise NotImplementedError

    def _added(self, time):
        """The step of this time has been stored."""

    def _build_priorities(self):
        """Allocates them."""

    def _priorities_nbytes(self):
        return 0

    def _priorities_state(self):
        return {}

    def _priorities_limits(self):
        return {}

    def _check_priorities(self, state):
        """Raises `ValueError` if they cannot belong to the rest of the state."""

    def _load_priorities(self, state):
        """Takes over a state which was found good."""
