"""The gradient step on TensorFlow: a gradient tape, variables in place."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import Update
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
    """`train_step` by TensorFlow's contract: a batch in, logs out."""

    def gradient_step(self, batch: Batch) -> Tensor:
        """Moves the online network one step.

        Returns:
            `(Update, is_finite)`. If loss or gradients are not finite, nothing moved.
        """
        network, variables = self.network, self.network.trainable_variables
        # Read once: mixed precision then casts them once for both passes.
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
        # Sparse ones (of an Embedding) become dense.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        sums = [sum_of_squares(gradient) for gradient in gradients]
        may_move = is_finite(self.optimizer, loss, sums)
        self._apply(gradients, variables, online.changed, may_move)
        return found._replace(loss=loss), may_move

    def _apply(self, gradients, variables, changed, may_move):
        """Lets layers and optimizer move the variables, but not by NaN or infinity."""
        if not self.optimizer.built:  # variables cannot be made in a branch
            self.optimizer.build(variables)
        optimizer = self.optimizer
        adam = FusedAdam.like(optimizer, variables)
        if adam is not None:
            optimizer, gradients = adam, adam.clipped(gradients)

        def move():
            for variable in self.network.variables:
                if id(variable) in changed:
                    variable.assign(changed[id(variable)])
            optimizer.apply(gradients, variables)

        tf.cond(may_move, move, lambda: None)

    def train_step(self, batch: Batch) -> Tensor:
        """One gradient step of `fit`. Returns the logs."""
        found, _ = self.gradient_step(batch)
        if self.target_sync_updates is not None:
            is_due = self.optimizer.iterations % self.target_sync_updates == 0
            tf.cond(is_due, self.sync_target, lambda: None)
        return self._logs(found)

    def test_step(self, batch: Batch) -> Tensor:
        """The loss on a batch, without a gradient step. Returns the logs."""
        online, target = ForwardPass(self.network), ForwardPass(self.target_network)
        targets = self.targets_of(batch, online, target)
        found = self.loss_of(batch, online, targets)
        loss = with_layer_losses(found.loss, online.losses)
        return self._logs(found._replace(loss=loss))

    def sync_target(self) -> None:
        """Makes the target network equal to the online one, by copy."""
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
        self._take_changes()
        return self._q_function(observations)

    def sync_target(self) -> None:
        """Makes the target network equal to the online one, by copy."""
        self.model.sync_target()
        self._derive_target()

    def sync_variables(self) -> None:
        """Puts the state into the Keras variables. Here it never left them."""

    def pull_variables(self) -> None:
        """Takes the Keras variables' values over. Here they are the state."""

    def _update_step(self, batch):
        self.trace_counts["update"] += 1
        batch = DeviceFrames.look_up(batch, self._tables())
        return self.model.gradient_step(batch)

    def _update_many_steps(self, batches):
        self.trace_counts["update_many"] += 1

        def one_step(batch):
            batch = DeviceFrames.look_up(batch, self._tables())
            return self.model.gradient_step(batch)

        # One at a time: each step starts from the weights that the last one left.
        return tf.map_fn(
            one_step,
            batches,
            parallel_iterations=1,
            fn_output_signature=(Update(*[tf.float32] * len(Update._fields)), tf.bool),
        )
