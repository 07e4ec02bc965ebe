"""The gradient step on TensorFlow: gradient tape, variables updated in place."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import Update
from keras_dqn.backend.interface import gradient_norm
from keras_dqn.backend.interface import is_finite
from keras_dqn.backend.interface import with_layer_losses
from keras_dqn.backend.passes import ForwardPass
from keras_dqn.backend.tensorflow.adam import FusedAdam
from keras_dqn.backend.tensorflow.device import DeviceFrames
from keras_dqn.backend.tensorflow.device import sum_of_squares
from keras_dqn.backend.tensorflow.device import to_tensors
from keras_dqn.backend.tensorflow.network import QFunction
from keras_dqn.backend.tensorflow.network import compiled


class TrainStep(keras.Model):
    """A model with the `train_step` that Keras calls on TensorFlow."""

    def gradient_step(self, batch: Batch) -> Tensor:
        """Takes one gradient step of the online network.

        Returns:
            `(Update, is_finite)`. If loss or gradients are not finite, no variable is
            changed.
        """
        network, variables = self.network, self.network.trainable_variables
        # Read once, so that mixed precision casts them only once for both passes.
        values = [tf.convert_to_tensor(variable.value) for variable in variables]
        read = list(zip(variables, values, strict=True))
        targets = self.targets_of(
            batch, ForwardPass(network, read), ForwardPass(self.target_network)
        )
        online = ForwardPass(network, read, training=True)
        with tf.GradientTape() as tape:
            tape.watch(values)
            found = self.loss_of(batch, online, targets)
            loss = with_layer_losses(found.loss, online.losses)
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(
            scaled_loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # Sparse gradients (of an Embedding) become dense.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        sums = [sum_of_squares(gradient) for gradient in gradients]
        may_apply = is_finite(self.optimizer, loss, sums)
        norm = gradient_norm(self.optimizer, sums)  # before the loss scale may change
        self._apply(gradients, variables, online.changed, may_apply)
        return found._replace(loss=loss, gradient_norm=norm), may_apply

    def _apply(self, gradients, variables, changed, may_apply):
        """Applies layer updates and gradients, if `may_apply` is true."""
        if not self.optimizer.built:  # `tf.cond` cannot create variables
            with tf.init_scope():  # not in the graph, which would start them anew
                self.optimizer.build(variables)
        optimizer = self.optimizer
        adam = FusedAdam.from_optimizer(optimizer, variables)
        if adam is not None:
            optimizer, gradients = adam, adam.clipped(gradients)

        def apply():
            for variable in self.network.variables:
                if id(variable) in changed:
                    variable.assign(changed[id(variable)])
            optimizer.apply(gradients, variables)

        tf.cond(may_apply, apply, lambda: None)

    def train_step(self, batch: Batch) -> Tensor:
        """Takes one gradient step of `fit`. Returns the logs."""
        found, _ = self.gradient_step(batch)
        if self.target_sync_updates is not None:
            is_due = self.optimizer.iterations % self.target_sync_updates == 0
            tf.cond(is_due, self.sync_target, lambda: None)
        return self._logs(found)

    def test_step(self, batch: Batch) -> Tensor:
        """Computes the loss of a batch for `evaluate`. Returns the logs."""
        online, target = ForwardPass(self.network), ForwardPass(self.target_network)
        targets = self.targets_of(batch, online, target)
        found = self.loss_of(batch, online, targets)
        loss = with_layer_losses(found.loss, online.losses)
        return self._logs(found._replace(loss=loss))

    def sync_target(self) -> None:
        """Copies the online network to the target network."""
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        for target, online in pairs:
            target.assign(online.value)

    def _logs(self, found):
        self.loss_metric.update_state(found.loss)
        self.td_error_metric.update_state(tf.abs(found.td_errors))
        self.q_metric.update_state(found.q_values)
        return {metric.name: metric.result() for metric in self.metrics}


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__
    q_function = QFunction

    def _compile(self):
        self._compiled_update = compiled(self._update_step, self.jit_compile)
        self._compiled_update_many = compiled(self._update_many_steps, self.jit_compile)

    def update(self, batch: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batch)
        return self._to_update(*self._compiled_update(to_tensors(batch)))

    def update_many(self, batches: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batches, leading=("minibatches", "batch"))
        return self._to_update(*self._compiled_update_many(to_tensors(batches)))

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """See `BaseQFunction.__call__`."""
        self._rebuild_if_changed()
        return self._q_function(observations)

    def sync_target(self) -> None:
        """Copies the online network to the target network."""
        self.model.sync_target()
        self._update_target_derived()

    def sync_variables(self) -> None:
        """Does nothing here: the Keras variables are the state."""

    def pull_variables(self) -> None:
        """Does nothing here: the Keras variables are the state."""

    def _update_step(self, batch):
        self.trace_counts["update"] += 1
        batch = DeviceFrames.look_up(batch, self._tables())
        return self.model.gradient_step(batch)

    def _update_many_steps(self, batches):
        self.trace_counts["update_many"] += 1

        def one_step(batch):
            batch = DeviceFrames.look_up(batch, self._tables())
            return self.model.gradient_step(batch)

        # In sequence: each step starts from the weights of the previous one.
        return tf.map_fn(
            one_step,
            batches,
            parallel_iterations=1,
            fn_output_signature=(Update(*[tf.float32] * len(Update._fields)), tf.bool),
        )
