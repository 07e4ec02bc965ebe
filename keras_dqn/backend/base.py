"""Base classes of the three learners: interface, checks and state."""

from __future__ import annotations

import collections
import contextlib
import operator
from collections.abc import Callable
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from keras_dqn.backend import optimizers
from keras_dqn.backend.batches import check_batch
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Forward
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import Update
from keras_dqn.models import derived_state
from keras_dqn.models.checking import check_kept
from keras_dqn.models.checking import leaf_layers
from keras_dqn.system import memory

if TYPE_CHECKING:
    from keras_dqn.backend.frames import BaseDeviceFrames


class BaseQFunction:
    """The compiled Q-values of a network, for acting.

    It reads the network's variables at every call. So a process that only acts can
    update the weights with `network.set_weights(...)` between two calls.

    Args:
        network: `keras.Model`.
        to_q_values, to_network_layout: Functions, see `Algorithm`.
        jit_compile: See `Learner`.
        trace_counts: Counter, its entry `q_values` counts the traces.
    """

    # Defined by each backend.
    _build: Callable[[], None]
    _q_values: Forward

    def __init__(
        self,
        network: keras.Model,
        to_q_values: Forward,
        to_network_layout: Forward,
        *,
        jit_compile: bool | str = "auto",
        trace_counts: collections.Counter[str] | None = None,
    ) -> None:
        self.network = network
        self.jit_compile = jit_compile
        self.trace_counts = (
            collections.Counter() if trace_counts is None else trace_counts
        )
        self._to_q_values = to_q_values
        self._to_network_layout = to_network_layout
        self._build()

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Returns Q-values, computed with `training=False` and without gradients.

        Args:
            observations: NumPy array, `(n, *observation)`. The function is
                compiled once for each `n`.

        Returns:
            Float32 NumPy array, `(n, actions)`.
        """
        q_values = ops.convert_to_numpy(self._q_values(observations))
        return np.asarray(q_values, "float32")


class BaseLearner:
    """Takes the gradient steps of a compiled `DQN` in a training loop.

    The arithmetic is that of `DQN.fit`, with less overhead: the step is compiled
    once, and inputs and outputs are NumPy arrays. On JAX the state is held outside
    the Keras variables until `sync_variables()` copies it there. If a Keras variable
    is assigned to, the next call uses the new value, on all backends.

    Each backend defines:

    - `update(batch)`: takes one gradient step on a dictionary of NumPy arrays, see
      `DQN`. Returns `Update` with arrays `(batch,)`. It is compiled once for each
      shape.
    - `update_many(batches)`: takes K gradient steps in sequence, in one dispatch, on
      arrays `(K, batch, ...)`. Returns `Update` with arrays `(K, batch)` and a loss
      of shape `(K,)`.
    - `q_values(observations)`: see `BaseQFunction.__call__`.
    - `sync_target()`: copies the online network to the target network.
    - `sync_variables()`: copies the state to the Keras variables.
    - `pull_variables()`: copies the Keras variables to the state.

    Both updates raise `ValueError` if a key is missing or unknown, a vector does not
    have shape `(batch,)`, or an action is out of range. They raise
    `FloatingPointError` if a loss or a gradient is NaN or infinite; that gradient
    step is not applied.

    Args:
        model: A `DQN` on which `compile(optimizer=...)` was called.
        jit_compile: Boolean or `"auto"`. Whether to use XLA (TensorFlow), `jax.jit`
            or `torch.compile`. `"auto"`: where it is faster (TensorFlow: on a GPU;
            JAX: always; PyTorch: where it works).

    Attributes:
        trace_counts: Counter, how often each function was traced. A number that
            keeps growing means that the function is compiled repeatedly.

    Raises:
        ValueError: If `model` has no optimizer, the optimizer belongs to another
            network, `target_sync_updates` of `model` is not `None`, or `jit_compile`
            is not `"auto"`, `True` or `False`.
    """

    # Defined by each backend.
    update: Callable[[Batch], Update]
    update_many: Callable[[Batch], Update]
    q_values: Callable[[np.ndarray], np.ndarray]
    sync_target: Callable[[], None]
    sync_variables: Callable[[], None]
    pull_variables: Callable[[], None]

    def __init__(self, model: Tensor, *, jit_compile: bool | str = "auto") -> None:
        if jit_compile not in ("auto", True, False):
            raise ValueError(
                "`jit_compile` must be 'auto', True or False. "
                f"Received: jit_compile={jit_compile!r}"
            )
        if getattr(model, "optimizer", None) is None:
            raise ValueError(
                "`model` must be compiled with an optimizer. Call "
                f"`model.compile(optimizer=...)` first. Received: model={model!r}"
            )
        if model.target_sync_updates is not None:
            raise ValueError(
                "`target_sync_updates` must be None in a learner. Call its "
                "`sync_target()` instead. Received: "
                f"target_sync_updates={model.target_sync_updates}"
            )
        memory.retain_freed_memory()
        self.jit_compile = jit_compile
        self.model = model
        self.network = model.network
        self.target_network = model.target_network
        self.optimizer = model.optimizer
        optimizers.claim(self.optimizer, self.network)
        self._layers = tuple(leaf_layers(self.network))
        self._known_variables = list(self.network.variables)
        self._derived_layers = derived_state.layers_of(self.network)
        self.trace_counts: collections.Counter[str] = collections.Counter()
        self.frames: BaseDeviceFrames | None = None
        self._build()

    def attach_frames(self, frames: BaseDeviceFrames | None) -> None:
        """Makes batches refer to frames on the device by number.

        From then on, `observations` and `next_observations` of a batch are integer
        arrays of frame numbers: `(batch, frame_stack)`, or `(batch,)` without frame
        stacking. The compiled step looks the frames up.

        Args:
            frames: `DeviceFrames` of this backend. `None`: batches hold the frames
                themselves.
        """
        if frames is self.frames:
            return
        self.sync_variables()
        self.frames = frames
        self._build()

    def _build(self):
        """Compiles the functions for the current state of the layers."""
        self._flags = self._flags_of_layers()
        self._trains_all = False  # whether the optimizer was found to know all
        self._derived_tensors = derived_state.tensors_of(self._derived_layers)
        self._q_function = self.q_function(
            self.network,
            self.model.to_q_values,
            self.model.to_network_layout,
            jit_compile=self.jit_compile,
            trace_counts=self.trace_counts,
        )
        self._compile()

    def _tables(self):
        return None if self.frames is None else self.frames.tables

    def _check(self, batch, leading=("batch",)):
        """Checks a batch, and recompiles if layers have changed."""
        check_batch(batch, self.model.batch_keys, self.model.num_actions, leading)
        self._rebuild_if_changed()
        if not self._trains_all:
            optimizers.check_trains(self.optimizer, self.network)
            self._trains_all = True

    def _rebuild_if_changed(self):
        """Recompiles if a layer was (un)frozen or a `Normalization` layer adapted."""
        derived = derived_state.tensors_of(self._derived_layers)
        is_adapted = any(map(operator.is_not, derived, self._derived_tensors))
        if is_adapted or self._flags != self._flags_of_layers():
            check_kept(self.network, self._known_variables)
            self.sync_variables()
            optimizers.claim(self.optimizer, self.network)
            self._build()

    def _flags_of_layers(self):
        return [(x.trainable, getattr(x, "lora_enabled", False)) for x in self._layers]

    def check_variables(self) -> None:
        """Raises `ValueError` if the network has got variables that cannot be trained.

        `enable_lora` makes new ones, and the optimizer does not know unfrozen ones.
        """
        check_kept(self.network, self._known_variables)
        optimizers.check_trains(self.optimizer, self.network)

    def _update_target_derived(self):
        """Updates the target network's `Normalization` layers after `sync_target`."""
        if not derived_state.are_equal(self.network, self.target_network):
            self.sync_variables()
            derived_state.recompute(self.target_network)
            self._build()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns copies of the variables of both networks and the optimizer.

        Returns:
            Dictionary of NumPy arrays with keys `online/N`, `target/N` and
            `optimizer/N`, where N is the number of the variable. Names and dtypes
            are the same on all backends (integers are int64).
        """
        self.sync_variables()
        return {
            name: np.array(ops.convert_to_numpy(variable.value), _saved_dtype(variable))
            for name, variable in self._named_variables().items()
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Loads what `state_dict` returned, on this or another backend.

        Args:
            state: Dictionary of NumPy arrays.

        Raises:
            ValueError: If a name is missing or unknown, or a shape or dtype differs.
                Nothing is changed then.
        """
        variables = self._named_variables()
        if set(state) != set(variables):
            raise ValueError(
                "`state` must have exactly the learner's arrays. "
                f"Missing: {sorted(set(variables) - set(state))}. "
                f"Unknown: {sorted(set(state) - set(variables))}"
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
            # A copy: JAX may share memory with the array that it is given.
            variable.assign(np.array(state[name]))
        self.pull_variables()
        if self._derived_layers:
            derived_state.recompute(self.network, self.target_network)
            self._build()

    def finalize(self) -> None:
        """Replaces the weights by their averages, as Keras's `fit` does at its end.

        Without averages in the optimizer (`use_ema=True`) nothing is changed.
        """
        self.sync_variables()
        self.optimizer.finalize_variable_values(self.network.trainable_variables)

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate, a float. Set it between updates."""
        with self._counts_scope():
            return float(ops.convert_to_numpy(self.optimizer.learning_rate))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.sync_variables()
        self.optimizer.learning_rate = value
        self.pull_variables()

    def _counts_scope(self):
        """A scope in which the optimizer's counts, which schedules read, are new."""
        return contextlib.nullcontext()

    def _named_variables(self):
        check_kept(self.network, self._known_variables)
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

    def _to_update(self, found, is_finite):
        """Returns an `Update` of NumPy arrays. Raises if a step was not applied."""
        update = Update(*map(ops.convert_to_numpy, found))
        if not np.all(ops.convert_to_numpy(is_finite)):
            rule = "A gradient step was not applied: loss and gradients must be finite"
            raise FloatingPointError(f"{rule}. Received: {_non_finite_value(update)}")
        return update


def _non_finite_value(update):
    for name, values in update._replace(gradient_norm=np.float32(0))._asdict().items():
        wrong = values[~np.isfinite(values)]
        if wrong.size:
            return f"{name} with {wrong[0]} (loss: {update.loss})"
    return f"non-finite gradients, or an overflow of their squares ({update.loss=})"


def _saved_dtype(variable):
    """Returns the dtype in a state dictionary: int64 for every integer dtype."""
    dtype = standardize_dtype(variable.dtype)
    return "int64" if dtype.startswith("int") else dtype
