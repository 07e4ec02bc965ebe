"""What a backend and the algorithm ask of each other: all of it stands here."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import NamedTuple
from typing import Protocol

import keras
import numpy as np
from keras import ops

Tensor = Any  # of the framework that runs: the three have no type in common
Batch = dict[str, Tensor]
Forward = Callable[[Tensor], Tensor]  # from observations to a network's outputs


class Update(NamedTuple):
    """What a gradient step found, before it changed the weights.

    Inside a step the fields are tensors, outside NumPy arrays, all float32. After
    `update_many` they have the number of minibatches in front.

    Attributes:
        loss: Scalar, the weighted mean over the batch and the layers' own losses.
        priorities: `(batch,)`, at least 0: what the replay is told.
        td_errors: `(batch,)`: prediction minus target, signed.
        q_values: `(batch,)`: Q(s, a) as predicted.
    """

    loss: np.ndarray | Tensor
    priorities: np.ndarray | Tensor
    td_errors: np.ndarray | Tensor
    q_values: np.ndarray | Tensor


class Algorithm(Protocol):
    """What a backend's `TrainStep` and `Learner` ask of the algorithm.

    The algorithm (`algorithms.dqn.DQN`) inherits a backend's `TrainStep`. The
    backend knows how a step is taken: gradients, state, optimizer, compiler. The
    algorithm knows what is learned. This is all that the one asks of the other; in
    the other direction the algorithm uses `frames_last` and `Update` of `backend`.

    `online` and `target` are functions from observations in the network's layout to
    outputs. A backend passes the pass that is due: with or without `training=True`,
    on the variables that the step has.

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
        """Returns the targets of a batch, without a gradient: `(batch, ...)`."""

    def loss_of(self, batch: Batch, online: Forward, targets: Tensor) -> Update:
        """Returns the `Update` of a batch. It calls `online` once."""

    def to_network_layout(self, observations: Tensor) -> Tensor:
        """Returns observations as the network takes them."""

    def to_q_values(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values of a network's outputs, `(batch, actions)`."""


def with_layer_losses(loss: Tensor, losses: Iterable[Tensor]) -> Tensor:
    """Returns the loss with those of the layers: regularizers and `add_loss`."""
    return sum((ops.cast(each, "float32") for each in losses), loss)


def is_finite(
    optimizer: keras.optimizers.Optimizer, loss: Tensor, sums_of_squares: list[Tensor]
) -> Tensor:
    """Returns whether a step may be taken: a boolean scalar tensor.

    Under loss scaling (`mixed_float16`) gradients that are too large are no fault:
    the optimizer skips such a step itself, and goes on with a smaller scale.

    Args:
        optimizer: Keras optimizer.
        loss: Scalar tensor.
        sums_of_squares: List of float32 scalars, one for each gradient. Squared, as
            clipping by norm does: the compiler sums once for both.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return ops.isfinite(loss)
    return ops.all(ops.isfinite(ops.stack([loss, *sums_of_squares])))
