"""The interface between a backend and the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import NamedTuple
from typing import Protocol

import keras
import numpy as np
from keras import ops

Tensor = Any  # a tensor of the current framework
Batch = dict[str, Tensor]
Forward = Callable[[Tensor], Tensor]  # from observations to a network's outputs


class Update(NamedTuple):
    """The results of a gradient step, computed with the weights before the step.

    The fields are float32: tensors inside a compiled step, NumPy arrays outside.
    Those of `update_many` have a leading dimension, the minibatches.

    Attributes:
        loss: Scalar, the weighted mean over the batch plus the layers' losses.
        priorities: `(batch,)`, at least 0: the new priorities of the transitions.
        td_errors: `(batch,)`: prediction minus target, signed.
        q_values: `(batch,)`: predicted Q(s, a).
        gradient_norm: Scalar, the L2 norm of all gradients together, before clipping.
            The backend sets it.
    """

    loss: np.ndarray | Tensor
    priorities: np.ndarray | Tensor
    td_errors: np.ndarray | Tensor
    q_values: np.ndarray | Tensor
    gradient_norm: np.ndarray | Tensor = 0.0


class Algorithm(Protocol):
    """What a backend's `TrainStep` and `Learner` need from the algorithm.

    The algorithm (`algorithms.dqn.DQN`) inherits from a backend's `TrainStep`. The
    backend implements the gradient step: gradients, state, optimizer, compilation.
    The algorithm defines targets and losses. In turn, the algorithm uses
    `frames_last` and `Update` of `backend`.

    `online` and `target` are the forward passes of the two networks: functions from
    observations in the network's layout to outputs. The backend chooses their
    variables and `training`.

    Attributes:
        network: `keras.Model`, the online network, which is trained.
        target_network: `keras.Model` of the same structure.
        optimizer: Keras optimizer.
        target_sync_updates: Integer or `None`, see `DQN`.
        batch_keys: Tuple of strings, the keys of a batch.
        num_actions: Integer.
    """

    network: keras.Model
    target_network: keras.Model
    optimizer: keras.optimizers.Optimizer
    target_sync_updates: int | None
    batch_keys: tuple[str, ...]
    num_actions: int

    def targets_of(self, batch: Batch, online: Forward, target: Forward) -> Tensor:
        """Returns the targets of a batch, `(batch, ...)`, without gradients."""

    def loss_of(self, batch: Batch, online: Forward, targets: Tensor) -> Update:
        """Returns the `Update` of a batch. Calls `online` exactly once."""

    def to_network_layout(self, observations: Tensor) -> Tensor:
        """Returns observations in the layout of the network's input."""

    def to_q_values(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values of a network's outputs, `(batch, actions)`."""


def with_layer_losses(loss: Tensor, losses: Iterable[Tensor]) -> Tensor:
    """Returns `loss` plus the layers' losses: regularizers and `add_loss`."""
    return sum((ops.cast(each, "float32") for each in losses), loss)


def is_finite(
    optimizer: keras.optimizers.Optimizer, loss: Tensor, sums_of_squares: list[Tensor]
) -> Tensor:
    """Returns whether a step may be applied: a boolean scalar tensor.

    Under loss scaling (`mixed_float16`) only the loss is checked. If gradients
    overflow, the optimizer itself skips the step and reduces the scale.

    Args:
        optimizer: Keras optimizer.
        loss: Scalar tensor.
        sums_of_squares: List of float32 scalars, the sum of squares of each
            gradient. Clipping by norm needs the same sums, so the compiler computes
            them once.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return ops.isfinite(loss)
    return ops.all(ops.isfinite(ops.stack([loss, *sums_of_squares])))


def gradient_norm(
    optimizer: keras.optimizers.Optimizer, sums_of_squares: list[Tensor]
) -> Tensor:
    """Returns the L2 norm of all gradients together: a float32 scalar tensor.

    Args:
        optimizer: Keras optimizer. The norm is that of the gradients without its loss
            scaling.
        sums_of_squares: See `is_finite`.
    """
    scale = optimizer.scale_loss(ops.ones((), "float32"))
    return ops.sqrt(ops.sum(ops.stack(sums_of_squares))) / ops.cast(scale, "float32")
