"""The gradient step on JAX: a compiled, pure function of arrays.

Reading and assigning all Keras variables at every step costs more than the gradient
step of a small network. So a learner holds the arrays itself, and `sync_variables()`
copies them to the Keras variables.
"""

from __future__ import annotations

import operator
import weakref
from functools import partial
from typing import TYPE_CHECKING
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import gradient_norm
from keras_dqn.backend.interface import is_finite
from keras_dqn.backend.interface import with_layer_losses
from keras_dqn.backend.jax.device import DeviceFrames
from keras_dqn.backend.jax.device import sum_of_squares
from keras_dqn.backend.jax.network import ArrayPass
from keras_dqn.backend.jax.network import QFunction
from keras_dqn.backend.jax.network import compiled
from keras_dqn.backend.jax.network import merge

if TYPE_CHECKING:
    from keras_dqn.backend.interface import Update


class State(NamedTuple):
    """The state that a gradient step changes: lists of arrays.

    Attributes:
        trainable: The online network's trainable variables.
        non_trainable: Its other variables: statistics, seeds, frozen weights.
        slots: The optimizer's variables.
    """

    trainable: list
    non_trainable: list
    slots: list


class TrainStep(keras.Model):
    """A model with the `train_step` that Keras calls on JAX.

    It takes state and batch, and returns logs and the new state.
    """

    def gradient_step(self, state: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Takes one gradient step of the online network.

        Args:
            state: `State`.
            target: List of arrays, all variables of the target network.
            batch: Dictionary of arrays.

        Returns:
            `(Update, is_finite), State`. If loss or gradients are not finite, the
            state is unchanged.
        """
        network = self.network
        targets = self.targets_of(batch, *self._inference_passes(state, target))

        def scaled_loss(trainable):
            online = ArrayPass(network, trainable, state.non_trainable, training=True)
            found = self.loss_of(batch, online, targets)
            loss = with_layer_losses(found.loss, online.losses)
            with self._optimizer_scope(state.slots):
                scaled = self.optimizer.scale_loss(loss)
            return scaled, (found._replace(loss=loss), online.changed)

        gradients, (found, changed) = jax.grad(scaled_loss, has_aux=True)(
            state.trainable
        )
        sums = [sum_of_squares(gradient) for gradient in gradients]
        may_apply = is_finite(self.optimizer, found.loss, sums)
        with self._optimizer_scope(state.slots):
            found = found._replace(gradient_norm=gradient_norm(self.optimizer, sums))
        return (found, may_apply), self._apply(gradients, changed, state, may_apply)

    def _apply(self, gradients, changed, before, may_apply):
        """Returns the state after the step, or `before` if `may_apply` is false."""
        network = self.network

        def after():
            trainable, slots = self.optimizer.stateless_apply(
                before.slots,
                gradients,
                _changed_values(changed, network.trainable_variables, before.trainable),
            )
            non_trainable = _changed_values(
                changed, network.non_trainable_variables, before.non_trainable
            )
            return State(trainable, non_trainable, slots)

        if not isinstance(may_apply, jax.core.Tracer):  # not compiled
            return after() if may_apply else before
        if jax.default_backend() == "cpu":  # `where` would copy all of `before`
            return jax.lax.cond(may_apply, after, lambda: before)
        # `cond` would wait for the device.
        return jax.tree.map(partial(jnp.where, may_apply), after(), before)

    def train_step(self, state: Tensor, batch: Batch) -> Tensor:
        """Takes one gradient step of `fit`. Returns logs and the new state."""
        trainable, non_trainable, slots, metrics = state
        non_trainable, target = self._split(non_trainable)
        (found, _), state = self.gradient_step(
            State(list(trainable), non_trainable, list(slots)), target, batch
        )
        if self.target_sync_updates is not None:
            with self._optimizer_scope(state.slots):
                is_due = self.optimizer.iterations % self.target_sync_updates == 0
            online = merge(self.network, state.trainable, state.non_trainable)
            target = jax.lax.cond(is_due, lambda: online, lambda: target)
        logs, metrics = self._logs(metrics, found)
        return logs, (
            state.trainable,
            [*state.non_trainable, *target],
            state.slots,
            metrics,
        )

    def test_step(self, state: Tensor, batch: Batch) -> Tensor:
        """Computes the loss of a batch for `evaluate`. Returns logs and state."""
        trainable, non_trainable, metrics = state
        online_state, target = self._split(non_trainable)
        online, target = self._inference_passes(
            State(trainable, online_state, []), target
        )
        targets = self.targets_of(batch, online, target)
        found = self.loss_of(batch, online, targets)
        found = found._replace(loss=with_layer_losses(found.loss, online.losses))
        logs, metrics = self._logs(metrics, found)
        return logs, (trainable, non_trainable, metrics)

    def sync_target(self) -> None:
        """Copies the online network to the target network."""
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        for target, online in pairs:
            target.assign(jnp.copy(online.value))

    def _logs(self, variables, found):
        logs, new_variables, start = {}, [], 0
        values = (found.loss, jnp.abs(found.td_errors), found.q_values)
        for metric, value in zip(self.metrics, values, strict=True):
            stop = start + len(metric.variables)
            updated = metric.stateless_update_state(variables[start:stop], value)
            logs[metric.name] = metric.stateless_result(updated)
            new_variables += updated
            start = stop
        return logs, new_variables

    def _inference_passes(self, state, target):
        """Returns the forward passes of both networks, `training=False`."""
        return (
            ArrayPass(self.network, state.trainable, state.non_trainable),
            ArrayPass(self.target_network, [], target),
        )

    def _split(self, non_trainable):
        count = len(self.network.non_trainable_variables)
        return list(non_trainable[:count]), list(non_trainable[count:])

    def _optimizer_scope(self, slots):
        """Returns a scope in which the optimizer's variables have these values."""
        mapping = list(zip(self.optimizer.variables, slots, strict=True))
        return keras.StatelessScope(state_mapping=mapping)


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__
    _state: Tensor
    _target: Tensor
    q_function = QFunction

    def _compile(self):
        # On a CPU, XLA runs convolutions inside a loop on one thread, and an unrolled
        # loop is slower than separate steps.
        self.is_fused = jax.default_backend() != "cpu"
        self._compiled_update = compiled(
            self._update_step, self.jit_compile, donate_argnums=0
        )
        self._compiled_update_many = compiled(
            self._update_many_steps, self.jit_compile, donate_argnums=0
        )
        self.pull_variables()

    def update(self, batch: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batch)
        self._pull_written_values()
        outputs, self._state = self._compiled_update(
            self._state, self._target, self._tables(), batch
        )
        self._is_newer = True
        return self._to_update(*outputs)

    def update_many(self, batches: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batches, leading=("minibatches", "batch"))
        self._pull_written_values()
        self._is_newer = True
        if self.is_fused:
            outputs, self._state = self._compiled_update_many(
                self._state, self._target, self._tables(), batches
            )
            return self._to_update(*outputs)
        steps = []
        for k in range(len(batches["actions"])):  # dispatched without waiting
            batch = {key: x[k] for key, x in batches.items()}
            outputs, self._state = self._compiled_update(
                self._state, self._target, self._tables(), batch
            )
            steps.append(outputs)
        return self._to_update(*jax.tree.map(lambda *x: jnp.stack(x), *steps))

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """See `BaseQFunction.__call__`."""
        self._rebuild_if_changed()
        self._pull_written_values()
        q_values = self._q_function.compiled(
            self._state.trainable, self._state.non_trainable, observations
        )
        return np.asarray(q_values, "float32")

    def sync_target(self) -> None:
        """Copies the online network to the target network."""
        self._pull_written_values()
        state = self._state
        online = merge(self.network, state.trainable, state.non_trainable)
        self._target = _copy_all(online)
        self._is_newer = True
        self._update_target_derived()

    def sync_variables(self) -> None:
        """Copies the state to the Keras variables."""
        if _current_learner(self.network) is not self:
            return  # another learner has the newer state
        self._pull_written_values()
        if not self._is_newer:
            return
        for variable, value in zip(
            self._variables, _copy_all(self._arrays()), strict=True
        ):
            variable.assign(value)
        self._remember_values()

    def pull_variables(self) -> None:
        """Copies the values of the Keras variables to the state.

        They are copied because an update donates the arrays of the state: JAX deletes
        them, also if a Keras variable still refers to them.
        """
        current = _current_learner(self.network)
        if current is not None and current is not self:
            current.sync_variables()
        _CURRENT_LEARNERS[self.network] = weakref.ref(self)
        groups = (
            self.network.trainable_variables,
            self.network.non_trainable_variables,
            self.optimizer.variables,
            self.target_network.variables,
        )
        *state, self._target = (_copy_all(v.value for v in group) for group in groups)
        self._state = State(*state)
        self._variables = [variable for group in groups for variable in group]
        self._counts = [(i, v) for i, v in enumerate(groups[2]) if v.ndim == 0]
        self._remember_values()

    def _counts_scope(self):
        self._pull_written_values()
        counts = self._counts if self._is_newer else []
        pairs = [(variable, self._state.slots[i]) for i, variable in counts]
        return keras.StatelessScope(state_mapping=pairs)

    def _arrays(self):
        return [array for group in (*self._state, self._target) for array in group]

    def _remember_values(self):
        """Remembers the values of the Keras variables, to detect assignments."""
        self._known_values = [variable.value for variable in self._variables]
        self._is_newer = False  # whether the state is newer than the Keras variables

    def _pull_written_values(self):
        """Copies values that were assigned to Keras variables to the state."""
        if _current_learner(self.network) is not self:
            self.pull_variables()
            return
        values = [variable.value for variable in self._variables]
        if all(map(operator.is_, values, self._known_values)):
            return
        groups = [list(group) for group in (*self._state, self._target)]
        places = [(group, i) for group in groups for i in range(len(group))]
        for (group, i), value, seen in zip(
            places, values, self._known_values, strict=True
        ):
            if value is not seen:
                group[i] = jnp.copy(value)
        *state, self._target = groups
        self._state, self._known_values = State(*state), values

    def _update_step(self, state, target, tables, batch):
        self.trace_counts["update"] += 1
        batch = DeviceFrames.look_up(batch, tables)
        return self.model.gradient_step(state, target, batch)

    def _update_many_steps(self, state, target, tables, batches):
        self.trace_counts["update_many"] += 1

        def one_step(state, batch):
            batch = DeviceFrames.look_up(batch, tables)
            outputs, state = self.model.gradient_step(state, target, batch)
            return state, outputs

        state, outputs = jax.lax.scan(one_step, state, batches)
        return outputs, state


# The learner of each network whose state may be newer than the Keras variables.
_CURRENT_LEARNERS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _current_learner(network):
    reference = _CURRENT_LEARNERS.get(network)
    return None if reference is None else reference()


def _changed_values(changed, variables, values):
    """Returns the values of variables after a forward pass changed some of them."""
    pairs = zip(variables, values, strict=True)
    return [changed.get(id(variable), value) for variable, value in pairs]


def _copy_all(values):
    return [jnp.copy(value) for value in values]
