"""The gradient step on PyTorch: autograd, parameters updated in place.

In eager mode, the overhead of Keras's layers and optimizer in Python is as large as
the time of the network. So a learner compiles the whole step, optimizer included, with
`torch.compile` as one graph.
"""

from __future__ import annotations

import keras
import numpy as np
import torch

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor
from keras_dqn.backend.interface import Update
from keras_dqn.backend.interface import gradient_norm
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
    """A model with the `train_step` that Keras calls on PyTorch."""

    pass_class = ForwardPass  # works for every network; a learner may set a faster one

    def gradient_step(self, batch: Batch) -> Tensor:
        """Takes one gradient step of the online network.

        Returns:
            `(Update, is_finite)`. If loss or gradients are not finite, no variable is
            changed.
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
            may_apply = is_finite(self.optimizer, loss, sums)
            norm = gradient_norm(self.optimizer, sums)  # before the scale may change
            self._apply(gradients, variables, online.changed, may_apply)
        found = found._replace(loss=loss, gradient_norm=norm)
        found = Update(*(value.detach() for value in found))
        return found, may_apply

    def _apply(self, gradients, variables, changed, may_apply):
        """Applies layer updates and gradients, if `may_apply` is true."""

        def apply():
            for variable in self.network.variables:
                if id(variable) in changed:
                    variable.assign(changed[id(variable)])
            self.optimizer.apply(gradients, variables)

        if not torch.compiler.is_compiling():
            if may_apply:
                apply()
            return
        # A graph has no branches. `torch.compile` fuses the copies and `where`.
        changing = [v.value for v in (*variables, *self.optimizer.variables)]
        changing += [v.value for v in self.network.variables if id(v) in changed]
        before = [value.clone() for value in changing]
        apply()
        for value, old in zip(changing, before, strict=True):
            value.copy_(torch.where(may_apply, value, old))

    def train_step(self, batch: Batch) -> Tensor:
        """Takes one gradient step of `fit`. Returns the logs."""
        found, _ = self.gradient_step(batch)
        if self.target_sync_updates is not None:
            if int(self.optimizer.iterations) % self.target_sync_updates == 0:
                self.sync_target()
        return self._logs(found)

    def test_step(self, batch: Batch) -> Tensor:
        """Computes the loss of a batch for `evaluate`. Returns the logs."""
        online = self.pass_class(self.network)
        target = self.pass_class(self.target_network)
        with torch.no_grad():
            targets = self.targets_of(batch, online, target)
            found = self.loss_of(batch, online, targets)
            loss = with_layer_losses(found.loss, online.losses)
        return self._logs(found._replace(loss=loss))

    def sync_target(self) -> None:
        """Copies the online network to the target network."""
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
        self._set_memory_layout()
        self._compiled_update = compiled(
            "update", self._update_step, self.jit_compile, self.trace_counts
        )

    def _set_memory_layout(self):
        """Sets the memory layout (strides) of weights and optimizer slots.

        Convolutions are faster if input channels are contiguous in memory. Slots get
        the layout of their weights, since the optimizer is much slower otherwise.
        Shapes do not change.
        """
        for owner in (self.network, self.target_network, self.optimizer):
            for variable in owner.variables:
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
        for k in range(len(batches["actions"])):  # dispatched without waiting
            batch = {key: x[k] for key, x in batches.items()}
            steps.append(self._compiled_update(batch, tables))
        found = zip(*(found for found, _ in steps), strict=True)
        is_finite = torch.stack([finite for _, finite in steps])
        return self._to_update(map(torch.stack, found), is_finite)

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

    def _update_step(self, batch, tables):
        batch = DeviceFrames.look_up(batch, tables)
        return self.model.gradient_step(batch)
