"""What the three learners share: the contract, the checks and the state."""

import collections
from typing import NamedTuple

import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from keras_dqn.system import memory

BATCH_KEYS = (
    "observations",
    "actions",
    "rewards",
    "discounts",
    "next_observations",
    "weights",
)


class Update(NamedTuple):
    """What a gradient step found, before it changed the weights.

    Attributes:
        loss: Float32 scalar (or `(minibatches,)`) as NumPy.
        td_errors: Float32 `(batch,)` (or `(minibatches, batch)`): prediction
            minus target, signed.
        q_values: Float32, the same shape: Q(s, a) as predicted.
    """

    loss: np.ndarray
    td_errors: np.ndarray
    q_values: np.ndarray


class BaseLearner:
    """Runs a compiled `DoubleDQN`'s gradient step in a training loop.

    The arithmetic is that of `DoubleDQN.fit`. What differs is the cost: the
    step is compiled once, NumPy goes in and comes out, and where the backend
    needs it (JAX) the state stays outside the Keras variables until
    `sync_variables()` puts it back.

    Args:
        model: A `DoubleDQN` on which `compile(optimizer=...)` was called.
        jit_compile: Whether the framework's optimizing compiler is used: XLA for
            TensorFlow, `jax.jit`, `torch.compile`. `"auto"`: where it is faster
            (TensorFlow: on a GPU; JAX: always; torch: wherever it works).

    Attributes:
        trace_counts: Counter, how often each function was traced. More than
            one for a function means that something compiles again and again.

    Raises:
        ValueError: If `model` has no optimizer, or syncs its own target
            network (`target_sync_updates`), which a learner leaves to its
            caller. Or if `jit_compile` is none of the three.
    """

    def __init__(self, model, *, jit_compile="auto"):
        if jit_compile not in ("auto", True, False):
            raise ValueError(
                "`jit_compile` must be 'auto', True or False. "
                f"Received: jit_compile={jit_compile!r}"
            )
        if getattr(model, "optimizer", None) is None:
            raise ValueError(
                "`model` must be compiled with an optimizer before a learner can "
                f"train it. Received: model={model!r}"
            )
        if model.target_sync_updates is not None:
            raise ValueError(
                "`target_sync_updates` must be None under a learner: its caller "
                "calls `sync_target()`. Received: "
                f"target_sync_updates={model.target_sync_updates}"
            )
        memory.keep_freed()
        self.jit_compile = jit_compile
        self.model = model
        self.network = model.network
        self.target_network = model.target_network
        self.optimizer = model.optimizer
        if not self.optimizer.built:
            self.optimizer.build(self.network.trainable_variables)
        self.trace_counts = collections.Counter()
        self.frames = None
        self._build()

    def attach_frames(self, frames):
        """Lets batches name the frames of their observations instead of holding them.

        From then on `observations` and `next_observations` of a batch are integer
        arrays, `(batch, frame_stack)` or, without stacks, `(batch,)`: numbers of
        frames, which are looked up inside the compiled step.

        Args:
            frames: `DeviceFrames` of this backend, or `None`: batches hold frames.
        """
        if frames is self.frames:
            return
        self.sync_variables()
        self.frames = frames
        self._build()

    def _tables(self):
        return None if self.frames is None else self.frames.tables

    def update(self, batch):
        """Takes one gradient step.

        Args:
            batch: Dictionary of NumPy arrays, see `DoubleDQN`. Its shapes
                should stay the same: every new shape is compiled anew.

        Returns:
            `Update`, the arrays `(batch,)`.

        Raises:
            ValueError: If a key is missing or not known, a vector is not
                `(batch,)`, or an action is not one of the network's.
            FloatingPointError: If the loss or a gradient is NaN or infinite.
                Nothing was changed then.
        """
        check_batch(batch, self.model.num_actions)
        return self._to_update(self._update(batch))

    def update_many(self, batches):
        """Takes K gradient steps, one after the other, in one dispatch.

        Args:
            batches: Dictionary of NumPy arrays with the number of minibatches
                in front: `(K, batch, ...)`.

        Returns:
            `Update`, the arrays `(K, batch)`, the loss `(K,)`.

        Raises:
            ValueError, FloatingPointError: As `update`. Those of the steps that
                could be taken were taken.
        """
        check_batch(batches, self.model.num_actions, leading=("minibatches", "batch"))
        return self._to_update(self._update_many(batches))

    def q_values(self, observations):
        """Returns the online network's Q-values, without a gradient.

        Args:
            observations: NumPy array, `(n, *observation)`. Each new `n` is
                compiled anew.

        Returns:
            Float32 NumPy array, `(n, actions)`.
        """
        q_values = ops.convert_to_numpy(self._q_values(observations))
        return np.asarray(q_values, "float32")

    def inspect(self, batch):
        """Returns the predictions and targets of a batch; changes nothing.

        Args:
            batch: Dictionary of NumPy arrays, see `DoubleDQN`.

        Returns:
            `(q_values, targets)`, float32 NumPy arrays `(batch,)`.
        """
        check_batch(batch, self.model.num_actions)
        q_values, targets = self._inspect(batch)
        return ops.convert_to_numpy(q_values), ops.convert_to_numpy(targets)

    def state_dict(self):
        """Returns copies of all that an update changes, by name.

        Returns:
            Dictionary of NumPy arrays: `online/N`, `target/N`, `optimizer/N`,
            N counting the variables. Names and dtypes are the same on all
            backends (integers are int64).
        """
        self.sync_variables()
        return {
            name: np.array(ops.convert_to_numpy(variable.value), _saved_dtype(variable))
            for name, variable in self._named_variables().items()
        }

    def load_state_dict(self, state):
        """Takes over what `state_dict` returned, on this or another backend.

        Args:
            state: Dictionary of NumPy arrays.

        Raises:
            ValueError: If a name is missing or not known, or a shape or dtype
                differs. Nothing is changed then.
        """
        variables = self._named_variables()
        if set(state) != set(variables):
            raise ValueError(
                "`state` must hold the learner's arrays. "
                f"Received: missing {sorted(set(variables) - set(state))}, "
                f"not known {sorted(set(state) - set(variables))}"
            )
        for name, variable in variables.items():
            shape, dtype = tuple(variable.shape), _saved_dtype(variable)
            array = np.asarray(state[name])
            if array.shape != shape or standardize_dtype(array.dtype) != dtype:
                raise ValueError(
                    f"`state[{name!r}]` must have shape {shape} and dtype {dtype}. "
                    f"Received: shape {array.shape}, dtype {array.dtype}"
                )
        for name, variable in variables.items():
            # A copy: JAX may go on using the memory of an array that it is given.
            variable.assign(np.array(state[name]))
        self.pull_variables()

    @property
    def learning_rate(self):
        """The optimizer's learning rate, a float. Set it between updates."""
        self.sync_variables()
        return float(ops.convert_to_numpy(self.optimizer.learning_rate))

    @learning_rate.setter
    def learning_rate(self, value):
        self.sync_variables()
        self.optimizer.learning_rate = value
        self.pull_variables()

    def _named_variables(self):
        groups = {
            "online": self.network.variables,
            "target": self.target_network.variables,
            "optimizer": self.optimizer.variables,
        }
        return {
            f"{group}/{number}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }

    def _to_update(self, outputs):
        *outputs, is_finite = map(ops.convert_to_numpy, outputs)
        update = Update(*outputs)
        if not np.all(is_finite):
            raise FloatingPointError(
                "A gradient step must have a finite loss and finite gradients, and "
                "was not taken. Received: " + _what_is_not_finite(update)
            )
        return update


def _what_is_not_finite(update):
    for name, values in update._asdict().items():
        wrong = values[~np.isfinite(values)]
        if wrong.size:
            return f"{name} with {wrong[0]} among them (loss: {update.loss})"
    return f"a gradient that is not finite, or too large to square ({update.loss=})"


def check_batch(batch, num_actions, leading=("batch",)):
    """Refuses a batch that would not train, or would train on nonsense.

    Args:
        batch: Any object.
        num_actions: Integer: actions are from 0 to one less.
        leading: Names of the leading dimensions, which all arrays share.

    Raises:
        ValueError: If it is not a dictionary with just the six keys, if shapes
            disagree, or if an action is not an integer in range.
    """
    if not isinstance(batch, dict) or batch.keys() != set(BATCH_KEYS):
        received = sorted(batch) if isinstance(batch, dict) else type(batch).__name__
        raise ValueError(
            f"`batch` must be a dictionary with the keys {sorted(BATCH_KEYS)}. "
            f"Received: {received}"
        )
    rank = len(leading)
    actions = np.asarray(batch["actions"])
    for key in BATCH_KEYS:
        shape = np.shape(batch[key])
        sizes = shape[:rank] if key.endswith("observations") else shape
        if sizes != actions.shape or len(sizes) != rank or 0 in sizes:
            raise ValueError(
                f"`{key}` must begin with the dimensions ({', '.join(leading)}), at "
                "least 1 each and the same for all keys, and vectors have no more. "
                f"Received: {key}.shape={shape}, actions.shape={actions.shape}"
            )
    if actions.dtype.kind not in "iu":
        raise ValueError(
            f"`actions` must be integers. Received: actions.dtype={actions.dtype}"
        )
    if actions.min() < 0 or actions.max() >= num_actions:
        raise ValueError(
            f"`actions` must be from 0 to {num_actions - 1}. "
            f"Received: from {actions.min()} to {actions.max()}"
        )


def _saved_dtype(variable):
    """Backends count in int32 or int64; a state dictionary holds int64."""
    dtype = standardize_dtype(variable.dtype)
    return "int64" if dtype.startswith("int") else dtype
