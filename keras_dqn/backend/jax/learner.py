"""The gradient step on JAX: a pure function of arrays, compiled.

A Keras variable on JAX is a box around an array, and opening all boxes at every
step costs more than a small network's step. So a learner holds the raw arrays;
`sync_variables()` copies them back into the Keras variables.
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
    """What a gradient step changes: lists of arrays.

    Attributes:
        trainable: The online network's trainable variables.
        non_trainable: Its other variables: statistics, seeds, frozen weights.
        slots: The optimizer's variables.
    """

    trainable: list
    non_trainable: list
    slots: list


class TrainStep(keras.Model):
    """`train_step` by JAX's contract: state and a batch in, logs and state out."""

    def gradient_step(self, state: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Moves the online network one step.

        Args:
            state: `State`.
            target: List of arrays, all variables of the target network.
            batch: Dictionary of arrays.

        Returns:
            `(Update, is_finite), State`. If loss or gradients are not finite,
            nothing moved.
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
        may_move = is_finite(self.optimizer, found.loss, sums)
        return (found, may_move), self._apply(gradients, changed, state, may_move)

    def _apply(self, gradients, changed, before, may_move):
        """Returns the state after the step, or `before` if it may not be taken."""
        network = self.network

        def after():
            trainable, slots = self.optimizer.stateless_apply(
                before.slots,
                gradients,
                _after(changed, network.trainable_variables, before.trainable),
            )
            non_trainable = _after(
                changed, network.non_trainable_variables, before.non_trainable
            )
            return State(trainable, non_trainable, slots)

        if not isinstance(may_move, jax.core.Tracer):  # nothing is compiled
            return after() if may_move else before
        if jax.default_backend() == "cpu":  # a choice would copy all of `before`
            return jax.lax.cond(may_move, after, lambda: before)
        # A branch would wait for the device.
        return jax.tree.map(partial(jnp.where, may_move), after(), before)

    def train_step(self, state: Tensor, batch: Batch) -> Tensor:
        """One gradient step of `fit`. Returns the logs and the new state."""
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
        """The loss on a batch, without a gradient step. Returns logs and state."""
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
        """Makes the target network equal to the online one, by copy."""
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
        """In here the optimizer's variables have the values of `slots`."""
        mapping = list(zip(self.optimizer.variables, slots, strict=True))
        return keras.StatelessScope(state_mapping=mapping)


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__
    _state: Tensor
    _target: Tensor
    q_function = QFunction

    def _compile(self):
        # On a CPU, XLA runs the convolutions of a loop's body on one thread, and an
        # unrolled loop is slower than its steps one by one.
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
        self._take_written()
        outputs, self._state = self._compiled_update(
            self._state, self._target, self._tables(), batch
        )
        self._is_ahead = True
        return self._to_update(*outputs)

    def update_many(self, batches: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batches, leading=("minibatches", "batch"))
        self._take_written()
        self._is_ahead = True
        if self.is_fused:
            outputs, self._state = self._compiled_update_many(
                self._state, self._target, self._tables(), batches
            )
            return self._to_update(*outputs)
        steps = []
        for k in range(len(batches["actions"])):  # nothing waits in between
            batch = {key: x[k] for key, x in batches.items()}
            outputs, self._state = self._compiled_update(
                self._state, self._target, self._tables(), batch
            )
            steps.append(outputs)
        return self._to_update(*jax.tree.map(lambda *x: jnp.stack(x), *steps))

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """See `BaseQFunction.__call__`."""
        self._take_changes()
        self._take_written()
        q_values = self._q_function.compiled(
            self._state.trainable, self._state.non_trainable, observations
        )
        return np.asarray(q_values, "float32")

    def sync_target(self) -> None:
        """Makes the target network equal to the online one, by copy."""
        self._take_written()
        state = self._state
        online = merge(self.network, state.trainable, state.non_trainable)
        self._target = _copies(online)
        self._is_ahead = True
        self._derive_target()

    def sync_variables(self) -> None:
        """Copies the state into the Keras variables."""
        if _holder(self.network) is not self:
            return  # another learner of this network has been here since
        self._take_written()
        if not self._is_ahead:
            return
        for variable, value in zip(self._boxes, _copies(self._arrays()), strict=True):
            variable.assign(value)
        self._look()

    def pull_variables(self) -> None:
        """Takes copies of the Keras variables' values over as the state.

        Copies, because an update donates its state: an array that a Keras
        variable still points at would be deleted under it.
        """
        holder = _holder(self.network)
        if holder is not None and holder is not self:
            holder.sync_variables()
        _HOLDERS[self.network] = weakref.ref(self)
        groups = (
            self.network.trainable_variables,
            self.network.non_trainable_variables,
            self.optimizer.variables,
            self.target_network.variables,
        )
        *state, self._target = (_copies(v.value for v in group) for group in groups)
        self._state = State(*state)
        self._boxes = [variable for group in groups for variable in group]
        self._look()

    def _arrays(self):
        return [array for group in (*self._state, self._target) for array in group]

    def _look(self):
        """Remembers what the Keras variables hold, so that a new value is seen."""
        self._seen = [variable.value for variable in self._boxes]
        self._is_ahead = False  # whether the state is newer than the variables

    def _take_written(self):
        """Takes over what somebody wrote into Keras variables since the last look."""
        if _holder(self.network) is not self:
            self.pull_variables()
            return
        values = [variable.value for variable in self._boxes]
        if all(map(operator.is_, values, self._seen)):
            return
        groups = [list(group) for group in (*self._state, self._target)]
        places = [(group, i) for group in groups for i in range(len(group))]
        for (group, i), value, seen in zip(places, values, self._seen, strict=True):
            if value is not seen:
                group[i] = jnp.copy(value)
        *state, self._target = groups
        self._state, self._seen = State(*state), values

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


# The learner whose state is newer than the Keras variables of a network.
_HOLDERS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _holder(network):
    reference = _HOLDERS.get(network)
    return None if reference is None else reference()


def _after(changed, variables, values):
    """Returns the values of variables after a pass that changed some of them."""
    pairs = zip(variables, values, strict=True)
    return [changed.get(id(variable), value) for variable, value in pairs]


def _copies(values):
    return [jnp.copy(value) for value in values]
