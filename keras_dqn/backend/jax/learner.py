"""The double-Q update on JAX: pure, compiled, with its state outside Keras.

A Keras variable on JAX is a box around an array. Opening and closing every box
at every step costs more than a small network's step, so a learner keeps the
arrays itself, and puts them back into the boxes when somebody will look.
"""

import functools
import os
from functools import partial

import jax
import jax.numpy as jnp
import jaxlib
import keras

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.frames import BaseDeviceFrames


class TrainStep(keras.Model):
    """`train_step` by JAX's contract: state and a batch in, logs and state out."""

    def gradient_step(self, state, batch):
        """Moves the online network one step.

        Args:
            state: `(trainable, frozen, target, slots)`, lists of arrays: the
                online network's trainable and frozen variables, all of the
                target network's, the optimizer's.
            batch: Dictionary of arrays.

        Returns:
            `(loss, td_errors, q_values, is_finite), (trainable, slots)`. If loss
            or gradients are not finite, nothing moved.
        """
        trainable, frozen, target, slots = state
        targets = self.targets(
            self._online_call(trainable, frozen), self._target_call(target), batch
        )

        def scaled_loss(trainable):
            loss, aux = self.loss_of(
                self._online_call(trainable, frozen), batch, targets
            )
            with self._optimizer_scope(slots):
                return self.optimizer.scale_loss(loss), (loss, *aux)

        gradients, outputs = jax.grad(scaled_loss, has_aux=True)(trainable)
        is_finite = self.is_finite(outputs[0], gradients)
        state = self._apply(gradients, (trainable, slots), is_finite)
        return (*outputs, is_finite), state

    def _apply(self, gradients, before, is_finite):
        """Lets the optimizer move the weights, but not by NaN or infinity."""
        trainable, slots = before

        def after():
            return tuple(self.optimizer.stateless_apply(slots, gradients, trainable))

        if jax.default_backend() == "cpu":  # a choice would copy all of `before`
            return jax.lax.cond(is_finite, after, lambda: before)
        # A branch would wait for the device.
        return jax.tree.map(partial(jnp.where, is_finite), after(), before)

    def train_step(self, state, batch):
        """One gradient step of `fit`. Returns the logs and the new state."""
        trainable, non_trainable, slots, metrics = state
        frozen, target = self._split(non_trainable)
        (*outputs, _), (trainable, slots) = self.gradient_step(
            (trainable, frozen, target, slots), batch
        )
        if self.target_sync_updates is not None:
            with self._optimizer_scope(slots):
                is_due = self.optimizer.iterations % self.target_sync_updates == 0
            online = _merge(self.network, trainable, frozen)
            target = jax.lax.cond(is_due, lambda: online, lambda: target)
        logs, metrics = self._logs(metrics, *outputs)
        return logs, (trainable, [*frozen, *target], slots, metrics)

    def test_step(self, state, batch):
        """The loss on a batch, without a gradient step. Logs and state."""
        trainable, non_trainable, metrics = state
        frozen, target = self._split(non_trainable)
        online = self._online_call(trainable, frozen)
        targets = self.targets(online, self._target_call(target), batch)
        loss, (td_errors, q_values) = self.loss_of(online, batch, targets)
        logs, metrics = self._logs(metrics, loss, td_errors, q_values)
        return logs, (trainable, non_trainable, metrics)

    def sum_of_squares(self, gradient):
        """Returns the float32 sum of a gradient's squared elements."""
        return jnp.sum(jnp.square(gradient.astype("float32")))

    def frames_last(self, observations):
        """Turns `(batch, frames, ...)` into `(batch, ..., frames)`."""
        return jnp.moveaxis(observations, 1, -1)

    def sync_target(self):
        """Makes the target network equal to the online one, by copy."""
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        for target, online in pairs:
            target.assign(jnp.copy(online.value))

    def _logs(self, variables, loss, td_errors, q_values):
        logs, new_variables, start = {}, [], 0
        for metric, value in zip(
            self.metrics, (loss, jnp.abs(td_errors), q_values), strict=True
        ):
            stop = start + len(metric.variables)
            updated = metric.stateless_update_state(variables[start:stop], value)
            logs[metric.name] = metric.stateless_result(updated)
            new_variables += updated
            start = stop
        return logs, new_variables

    def _online_call(self, trainable, frozen):
        return lambda x: self.network.stateless_call(trainable, frozen, x)[0]

    def _target_call(self, target):
        return lambda x: self.target_network.stateless_call([], target, x)[0]

    def _split(self, non_trainable):
        count = len(self.network.non_trainable_variables)
        return list(non_trainable[:count]), list(non_trainable[count:])

    def _optimizer_scope(self, slots):
        """In here the optimizer's variables have the values of `slots`."""
        mapping = list(zip(self.optimizer.variables, slots, strict=True))
        return keras.StatelessScope(state_mapping=mapping)


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__

    def _build(self):
        is_cpu = jax.default_backend() == "cpu"
        options = _cpu_compiler_options() if is_cpu else {}

        def compiled(function, **arguments):
            if self.jit_compile is False:
                return function
            return jax.jit(function, compiler_options=options, **arguments)

        # On a CPU, XLA runs the convolutions of a loop's body on one thread, and an
        # unrolled loop is slower than its steps one by one.
        self.is_fused = not is_cpu
        self._compiled_update = compiled(self._update_step, donate_argnums=0)
        self._compiled_update_many = compiled(self._update_many_steps, donate_argnums=0)
        self._compiled_q_values = compiled(self._q_values_step)
        self._compiled_inspect = compiled(self._inspect_step)
        self.pull_variables()

    def sync_target(self):
        """Makes the target network equal to the online one, by copy."""
        trainable, _ = self._state
        self._target = _copies(_merge(self.network, trainable, self._frozen))

    def sync_variables(self):
        """Puts copies of the state into the Keras variables."""
        trainable, slots = self._state
        for variables, values in (
            (self.network.trainable_variables, trainable),
            (self.optimizer.variables, slots),
            (self.target_network.variables, self._target),
        ):
            for variable, value in zip(variables, _copies(values), strict=True):
                variable.assign(value)

    def pull_variables(self):
        """Takes copies of the Keras variables' values over as the state.

        Copies, because an update donates its state: an array that a Keras
        variable still points at would be deleted under it.
        """
        self._state = (
            _copies(v.value for v in self.network.trainable_variables),
            _copies(v.value for v in self.optimizer.variables),
        )
        self._frozen = _copies(v.value for v in self.network.non_trainable_variables)
        self._target = _copies(v.value for v in self.target_network.variables)

    def _update(self, batch):
        outputs, self._state = self._compiled_update(
            self._state, self._frozen, self._target, self._tables(), batch
        )
        return outputs

    def _update_many(self, batches):
        if not self.is_fused:  # nothing waits for a step before the last is sent
            steps = [
                self._update({key: x[k] for key, x in batches.items()})
                for k in range(len(batches["actions"]))
            ]
            return [jnp.stack(outputs) for outputs in zip(*steps, strict=True)]
        outputs, self._state = self._compiled_update_many(
            self._state, self._frozen, self._target, self._tables(), batches
        )
        return outputs

    def _q_values(self, observations):
        return self._compiled_q_values(self._state[0], self._frozen, observations)

    def _inspect(self, batch):
        return self._compiled_inspect(
            self._state[0], self._frozen, self._target, self._tables(), batch
        )

    def _update_step(self, state, frozen, target, tables, batch):
        self.trace_counts["update"] += 1
        batch = DeviceFrames.look_up(batch, tables)
        return self._gradient_step(state, frozen, target, batch)

    def _update_many_steps(self, state, frozen, target, tables, batches):
        self.trace_counts["update_many"] += 1

        def one_step(state, batch):
            batch = DeviceFrames.look_up(batch, tables)
            outputs, state = self._gradient_step(state, frozen, target, batch)
            return state, outputs

        state, outputs = jax.lax.scan(one_step, state, batches)
        return outputs, state

    def _q_values_step(self, trainable, frozen, observations):
        self.trace_counts["q_values"] += 1
        observations = self.model.to_network_layout(observations)
        return self.model._online_call(trainable, frozen)(observations)

    def _inspect_step(self, trainable, frozen, target, tables, batch):
        self.trace_counts["inspect"] += 1
        batch = DeviceFrames.look_up(batch, tables)
        online = self.model._online_call(trainable, frozen)
        targets = self.model.targets(online, self.model._target_call(target), batch)
        _, (_, q_values) = self.model.loss_of(online, batch, targets)
        return q_values, targets

    def _gradient_step(self, state, frozen, target, batch):
        trainable, slots = state
        return self.model.gradient_step((trainable, frozen, target, slots), batch)


@functools.cache
def _cpu_compiler_options():
    """Returns XLA's options for a CPU; none where this XLA does not know them.

    By default XLA hands single convolutions to YNNPACK, where they take up to twice
    the time of its own. Of what YNNPACK can do, only sums are left to it. Whoever
    has set that flag has chosen.
    """
    flag = "xla_cpu_experimental_ynn_fusion_type"
    options = {flag: "LIBRARY_FUSION_TYPE_REDUCE"}
    if flag in os.environ.get("XLA_FLAGS", ""):
        return {}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options)(0)
    except jax.errors.JaxRuntimeError:
        return {}
    return options


class DeviceFrames(BaseDeviceFrames):
    __doc__ = BaseDeviceFrames.__doc__

    def _zeros(self, rows, grows=False):
        return jnp.zeros((rows, *self._frame_shape), self._dtype)

    @staticmethod
    @partial(jax.jit, donate_argnums=0)
    def _written(table, rows, frames):
        return table.at[rows].set(frames)

    @staticmethod
    def _joined(table, more):
        return jnp.concatenate([table, more])

    @staticmethod
    def gather(tables, numbers):
        """Returns the frames with these numbers, `(*numbers.shape, *frame_shape)`."""
        ring, finals = tables
        count = len(ring)
        frames = ring[jnp.minimum(numbers, count - 1)]
        final_frames = finals[jnp.maximum(numbers - count, 0)]
        is_final = jnp.expand_dims(numbers >= count, range(numbers.ndim, frames.ndim))
        return jnp.where(is_final, final_frames, frames)


def _merge(network, trainable, frozen):
    """Returns both lists as one, in the order of `network.variables`."""
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    pairs = zip(variables, [*trainable, *frozen], strict=True)
    values = {id(variable): value for variable, value in pairs}
    return [values[id(variable)] for variable in network.variables]


def _copies(values):
    return [jnp.copy(value) for value in values]


def backend_versions():
    """Returns the versions of the framework, by name."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


def device_name():
    """Returns the device that the learner computes on, in words."""
    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else device.device_kind
