"""QR-DQN: the return of each action as quantiles."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dqn import checks
from keras_dqn.algorithms.distributions import Losses
from keras_dqn.algorithms.distributions import Plain
from keras_dqn.algorithms.maths import as_outputs
from keras_dqn.algorithms.maths import at_actions
from keras_dqn.algorithms.maths import check_matrices
from keras_dqn.algorithms.maths import check_vectors
from keras_dqn.algorithms.maths import huber
from keras_dqn.backend.interface import Tensor


def midpoints(count: int) -> np.ndarray:
    """Returns the fractions (k + 0.5) / count, float32 `(count,)`."""
    return ((np.arange(count) + 0.5) / count).astype("float32")


@keras.saving.register_keras_serializable(package="keras_dqn")
class Quantiles(Plain):
    """The outputs are quantiles of the return, `(batch, actions, quantiles)`.

    Output k is the quantile of the fraction (k + 0.5) / quantiles: the return is lower
    with this probability.

    Args:
        quantiles: Integer, at least 1.
        kappa: Non-negative float: errors above it have a linear loss. 0: all of them.
        priority: `"td"`: |difference of the means|; `"loss"`: the loss.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        - [Dabney et al., 2018](https://arxiv.org/abs/1710.10044), equations 9 and 10,
          lemma 2, algorithm 1.
    """

    def __init__(
        self, quantiles: int = 200, kappa: float = 1.0, priority: str = "td"
    ) -> None:
        self.quantiles = checks.integer("quantiles", quantiles, minimum=1)
        self.kappa = checks.number("kappa", kappa, minimum=0.0)
        self.priority = checks.choice("priority", priority, ("td", "loss"))

    def mean(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values, the means of the quantiles, `(batch, actions)`."""
        return ops.mean(self._checked(outputs), axis=-1)

    def at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Returns the quantiles of the given actions, float32 `(batch, quantiles)`."""
        return at_actions(self._checked(outputs), actions)

    def targets(
        self,
        rewards: Tensor,
        discounts: Tensor,
        next_outputs: Tensor,
        policy: Tensor,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Returns `reward + discount * quantile` of the next action.

        Args:
            rewards, discounts, policy, offsets: See `Scalar.targets`. With a policy
                that is not one action, quantiles of the same fraction are averaged.
            next_outputs: Float tensor, `(batch, actions, quantiles)`: the target
                network's outputs for the next observations.

        Returns:
            Float32 tensor, `(batch, quantiles)`. No gradient flows through it.
        """
        outputs = self._checked(next_outputs)
        rewards = ops.convert_to_tensor(rewards, "float32")
        discounts = ops.convert_to_tensor(discounts, "float32")
        policy = ops.convert_to_tensor(policy, "float32")
        check_matrices(means=ops.mean(outputs, axis=-1), policy=policy)
        check_vectors(policy.shape[0], rewards=rewards, discounts=discounts)
        next_quantiles = ops.sum(ops.expand_dims(policy, -1) * outputs, axis=1)
        if offsets is not None:
            rewards += ops.sum(offsets * policy, axis=-1)
        rewards, discounts = ops.expand_dims(rewards, 1), ops.expand_dims(discounts, 1)
        return ops.stop_gradient(rewards + discounts * next_quantiles)

    def losses(self, predicted: Tensor, targets: Tensor) -> Losses:
        """Returns the `Losses`: each quantile against each target.

        Args:
            predicted: Float32 tensor, `(batch, quantiles)`, see `at`.
            targets: Float32 tensor, `(batch, targets)`, see `targets`.
        """
        fractions = midpoints(self.quantiles)[None]
        return quantile_losses(predicted, targets, fractions, self.kappa, self.priority)

    def plain(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the Q-values of a network's symbolic outputs, with stock layers."""
        return ops.mean(outputs, axis=-1)

    def shown(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the quantiles, of a network's symbolic outputs."""
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {
            "quantiles": self.quantiles,
            "kappa": self.kappa,
            "priority": self.priority,
        }

    def _checked(self, outputs):
        outputs = as_outputs(outputs)
        if outputs.shape[-1] != self.quantiles:
            raise ValueError(
                f"The outputs must have {self.quantiles} quantiles for each action. "
                f"Received: shape {tuple(outputs.shape)}"
            )
        return outputs


def quantile_losses(
    predicted: Tensor, targets: Tensor, fractions: Tensor, kappa: float, priority: str
) -> Losses:
    """Returns the quantile Huber loss: summed over predictions, mean over targets.

    It is not divided by kappa.

    Args:
        predicted: Float32 tensor, `(batch, N)`, quantiles of the fractions.
        targets: Float32 tensor, `(batch, M)`, samples of the target.
        fractions: Float32 tensor, `(batch or 1, N)`, from 0 to 1.
        kappa: See `Quantiles`.
        priority: See `Quantiles`.
    """
    predicted = ops.convert_to_tensor(predicted)
    targets = ops.convert_to_tensor(targets)
    if len(predicted.shape) != 2 or len(targets.shape) != 2:
        raise ValueError(
            "Quantiles must have shape `(batch, n)`. Received: predicted.shape="
            f"{tuple(predicted.shape)}, targets.shape={tuple(targets.shape)}"
        )
    errors = ops.expand_dims(targets, 1) - ops.expand_dims(
        predicted, 2
    )  # (batch, N, M)
    costs = ops.abs(errors) if kappa == 0.0 else huber(errors, kappa)
    below = ops.cast(errors < 0.0, "float32")
    fractions = ops.expand_dims(ops.convert_to_tensor(fractions), 2)
    slopes = ops.abs(fractions - below)
    losses = ops.sum(ops.mean(slopes * costs, axis=2), axis=1)
    means = ops.mean(predicted, axis=1)
    td_errors = means - ops.mean(targets, axis=1)
    priorities = losses if priority == "loss" else ops.abs(td_errors)
    return Losses(losses, priorities, td_errors, means)
