"""The gradient step on PyTorch: autograd, parameters in place.

Eagerly, Keras costs as much as the network: layers and optimizer are walked in
Python, and the optimizer passes over the weights ten times. So a learner hands
the whole step, optimizer included, to `torch.compile` as one graph.
"""

from __future__ import annotations

import keras
import numpy as np
import torch

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import Update
from keras_dqn.backend.interface import is_finite
from keras_dqn.backend.interface import with_layer_losses
from keras_dqn.backend.passes import ForwardPass
from keras_dqn.backend.torch.device import DeviceFrames
from keras_dqn.backend.torch.device import sum_of_squares
from keras_dqn.backend.torch.device import to_tensors
from keras_dqn.backend.torch.network import QFunction
from keras_dqn.backend.torch.network import compiled
from keras_dqn.backend.torch.network import pass_class_of


class TrainStep(keras.Model):
    """`train_step` by PyTorch's contract: a batch in, logs out."""

    pass_class = ForwardPass  # right for every network; a learner may know better

    def gradient_step(self, batch: Batch) -> Tensor:
        """Moves the online network one step.

        Returns:
            `(Update, is_finite)`. If loss or gradients are not finite, nothing moved.
        """
        network, variables = self.network, self.network.trainable_variables
        with torch.no_grad():
            targets = self.targets_of(
                batch,
                self.pass_class(network),
                self.pass_class(self.target_network),
            )
        online = self.pass_class(network, training=True)
        found = self.loss_of(batch, online, targets)
        loss = with_layer_losses(found.loss, online.losses)
        gradients = torch.autograd.grad(
            self.optimizer.scale_loss(loss),
            [variable.value for variable in variables],
            allow_unused=True,
            materialize_grads=True,
        )
        with torch.no_grad():
            sums = [sum_of_squares(gradient) for gradient in gradients]
            may_move = is_finite(self.optimizer, loss, sums)
            self._apply(gradients, variables, online.changed, may_move)
        found = Update(*(value.detach() for value in found._replace(loss=loss)))
        return found, may_move

    def _apply(self, gradients, variables, changed, may_move):
        """Lets layers and optimizer move the variables, but not by NaN or infinity."""

        def move():
            for variable in self.network.variables:
                if id(variable) in changed:
                    variable.assign(changed[id(variable)])
            self.optimizer.apply(gradients, variables)

        if not torch.compiler.is_compiling():
            if may_move:
                move()
            return
        # A graph has no branches; `torch.compile` fuses the copy and `where`.
        changing = [v.value for v in (*variables, *self.optimizer.variables)]
        changing += [v.value for v in self.network.variables if id(v) in changed]
        before = [value.clone() for value in changing]
        move()
        for value, old in zip(changing, before, strict=True):
            value.copy_(torch.where(may_move, value, old))

    def train_step(self, batch: Batch) -> Tensor:
        """One gradient step of `fit`. Returns the logs."""
        found, _ = self.gradient_step(batch)
        if self.target_sync_updates is not None:
            if int(self.optimizer.iterations) % self.target_sync_updates == 0:
                self.sync_target()
        return self._logs(found)

    def test_step(self, batch: Batch) -> Tensor:
        """The loss on a batch, without a gradient step. Returns the logs."""
        online = self.pass_class(self.network)
        target = self.pass_class(self.target_network)
        with torch.no_grad():
            targets = self.targets_of(batch, online, target)
            found = self.loss_of(batch, online, targets)
            loss = with_layer_losses(found.loss, online.losses)
        return self._logs(found._replace(loss=loss))

    def sync_target(self) -> None:
        """Makes the target network equal to the online one, by copy."""
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        with torch.no_grad():
            for target, online in pairs:
                target.assign(online.value)

    def _logs(self, found):
        self.loss_metric.update_state(found.loss)
        self.td_error_metric.update_state(torch.abs(found.td_errors))
        self.q_metric.update_state(found.q_values)
        return {metric.name: metric.result() for metric in self.metrics}


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__
    q_function = QFunction

    def _compile(self):
        self.trace_counts.update(update=0)
        self.model.pass_class = pass_class_of(self.network)
        self._lay_out()
        self._compiled_update = compiled(
            "update", self._update_step, self.jit_compile, self.trace_counts
        )

    def _lay_out(self):
        """Puts weights and their slots in memory as the kernels read them.

        Keras's shapes stay; only strides change. Convolutions want the input
        channels next to each other, and an optimizer that walks a weight and its
        slots in different orders is many times slower.
        """
        for networks in (self.network, self.target_network, self.optimizer):
            for variable in networks.variables:
                value = variable.value.data
                if value.ndim == 4:  # height, width, in, out
                    value = value.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
                variable.value.data = value if value.ndim == 4 else value.contiguous()

    def update(self, batch: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batch)
        return self._to_update(
            *self._compiled_update(to_tensors(batch), self._tables())
        )

    def update_many(self, batches: dict[str, np.ndarray]) -> Update:
        """See `BaseLearner`."""
        self._check(batches, leading=("minibatches", "batch"))
        batches, tables = to_tensors(batches), self._tables()
        steps = []
        for k in range(len(batches["actions"])):  # nothing waits in between
            batch = {key: x[k] for key, x in batches.items()}
            steps.append(self._compiled_update(batch, tables))
        found = zip(*(found for found, _ in steps), strict=True)
        is_finite = torch.stack([finite for _, finite in steps])
        return self._to_update(map(torch.stack, found), is_finite)

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

    def _update_step(self, batch, tables):
        batch = DeviceFrames.look_up(batch, tables)
        return self.model.gradient_step(batch)
