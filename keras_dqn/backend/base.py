"""What the three learners share: the contract, the checks and the state."""

from __future__ import annotations

import collections
import operator
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from keras_dqn.backend.batches import check_batch
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Forward
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import Update
from keras_dqn.models import derived_state
from keras_dqn.models.checking import leaf_layers
from keras_dqn.system import memory

if TYPE_CHECKING:
    from keras_dqn.backend.frames import BaseDeviceFrames


# Optimizers hold a slot for each variable of one network: whose they are.
_NETWORKS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class BaseQFunction:
    """The Q-values of a network, compiled: all that acting needs.

    It reads the network's variables at every call, so an actor process needs the
    weights alone: `network.set_weights(...)` between two calls.

    Args:
        network: `keras.Model`.
        to_q_values, to_network_layout: Functions, see `Algorithm`.
        jit_compile: See `Learner`.
        trace_counts: Counter, whose `q_values` counts the traces.
    """

    # What each backend defines.
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
        """Returns Q-values without a gradient, `training=False`.

        Args:
            observations: NumPy array, `(n, *observation)`. Each new `n` is
                compiled anew.

        Returns:
            Float32 NumPy array, `(n, actions)`.
        """
        q_values = ops.convert_to_numpy(self._q_values(observations))
        return np.asarray(q_values, "float32")


class BaseLearner:
    """Runs a compiled `DQN`'s gradient step in a training loop.

    The arithmetic is that of `DQN.fit`. What differs is the cost: the step is
    compiled once, NumPy goes in and comes out, and on JAX the state stays outside
    the Keras variables until `sync_variables()` copies it back. What is written
    into a Keras variable meanwhile holds, on all backends: the next call takes it.

    Each backend adds, beside `sync_target`, `sync_variables` and `pull_variables`:

    - `update(batch)`: takes one gradient step on a dictionary of NumPy arrays, see
      `DQN`. Returns `Update`, the arrays `(batch,)`. Every new shape is compiled
      anew.
    - `update_many(batches)`: takes K gradient steps, one after the other, in one
      dispatch, on arrays `(K, batch, ...)`. Returns `Update`, the arrays
      `(K, batch)`, the loss `(K,)`.
    - `q_values(observations)`: see `BaseQFunction.__call__`.

    Both updates raise `ValueError` if a key is missing or not known, a vector is
    not `(batch,)`, or an action is not one of the network's; `FloatingPointError`
    if a loss or a gradient is NaN or infinite. That step is not taken then, and
    changes nothing.

    Args:
        model: A `DQN` on which `compile(optimizer=...)` was called.
        jit_compile: Whether the framework's optimizing compiler is used: XLA for
            TensorFlow, `jax.jit`, `torch.compile`. `"auto"`: where it is faster
            (TensorFlow: on a GPU; JAX: always; torch: wherever it works).

    Attributes:
        trace_counts: Counter, how often each function was traced. More than
            one for a function means that something compiles again and again.

    Raises:
        ValueError: If `model` has no optimizer, or syncs its own target
            network (`target_sync_updates`), which a learner leaves to its
            caller. Or if `jit_compile` is none of the three, or the optimizer
            belongs to another network.
    """

    # What each backend defines.
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
        _take_optimizer(self.optimizer, self.network)
        self._layers = tuple(leaf_layers(self.network))
        self._deriving = derived_state.layers_of(self.network)
        self.trace_counts: collections.Counter[str] = collections.Counter()
        self.frames: BaseDeviceFrames | None = None
        self._build()

    def attach_frames(self, frames: BaseDeviceFrames | None) -> None:
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

    def _build(self):
        """Makes the compiled functions for the layers as they are."""
        self._trainable = [layer.trainable for layer in self._layers]
        self._derived = derived_state.tensors_of(self._deriving)
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
        """Refuses a batch that would not train."""
        check_batch(batch, self.model.batch_keys, self.model.num_actions, leading)
        self._take_changes()

    def _take_changes(self):
        """Compiles anew if a layer was frozen or a `Normalization` adapted since."""
        derived = derived_state.tensors_of(self._deriving)
        is_adapted = any(map(operator.is_not, derived, self._derived))
        if is_adapted or self._trainable != [each.trainable for each in self._layers]:
            self.sync_variables()
            _take_optimizer(self.optimizer, self.network)
            self._build()

    def _derive_target(self):
        """Lets the target network normalize like the online one, after a sync."""
        if not derived_state.are_equal(self.network, self.target_network):
            self.sync_variables()
            derived_state.recompute(self.target_network)
            self._build()

    def state_dict(self) -> dict[str, np.ndarray]:
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

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
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
        if self._deriving:
            derived_state.recompute(self.network, self.target_network)
            self._build()

    def finalize(self) -> None:
        """Ends a training as Keras's `fit` does: averaged weights take their place.

        Without averages in the optimizer (`use_ema`) it changes nothing.
        """
        self.sync_variables()
        self.optimizer.finalize_variable_values(self.network.trainable_variables)

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate, a float. Set it between updates."""
        self.sync_variables()
        return float(ops.convert_to_numpy(self.optimizer.learning_rate))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
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

    def _to_update(self, found, is_finite):
        """Returns the `Update` in NumPy; raises if a step was not taken."""
        update = Update(*map(ops.convert_to_numpy, found))
        if not np.all(ops.convert_to_numpy(is_finite)):
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


def _take_optimizer(optimizer, network):
    """Builds an optimizer for a network; refuses one that another network has.

    Raises:
        ValueError: If it belongs to another network: its slots are not this one's.
    """
    owner = _NETWORKS.get(optimizer)
    if owner is not None and owner() is not network:
        raise ValueError(
            "`optimizer` must be a new one for each network, since it holds the "
            "moments of that network's weights. Received: the optimizer "
            f"{optimizer.name!r} of another network"
        )
    if not optimizer.built:
        optimizer.build(network.trainable_variables)
    _NETWORKS[optimizer] = weakref.ref(network)


def _saved_dtype(variable):
    """Backends count in int32 or int64; a state dictionary holds int64."""
    dtype = standardize_dtype(variable.dtype)
    return "int64" if dtype.startswith("int") else dtype
