"""C51: the return of each action as probabilities of fixed values."""

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
from keras_dqn.backend.interface import Tensor

# Bounds a logarithm whose factor is 0. Smaller numbers count as 0 on some processors.
_SMALLEST = 1e-37


@keras.saving.register_keras_serializable(package="keras_dqn")
class Categorical(Plain):
    """The outputs are logits of atoms, `(batch, actions, atoms)`.

    The return is one of `atoms` values, evenly spaced from `low` to `high`. What a
    target has beyond these ends counts as the end: rewards must be clipped, or the ends
    be as large as returns are.

    Args:
        atoms: Integer, at least 2.
        low, high: Floats, the smallest and the largest return.
        priority: `"kl"`: the Kullback-Leibler divergence of target and prediction;
            `"loss"`: the cross-entropy; `"td"`: |difference of the means|.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        - [Bellemare et al., 2017](https://arxiv.org/abs/1707.06887), section 4,
          algorithm 1.
        - [Hessel et al., 2018](https://arxiv.org/abs/1710.02298), "The Integrated
          Agent": the priority is the Kullback-Leibler divergence.
    """

    def __init__(
        self,
        atoms: int = 51,
        low: float = -10.0,
        high: float = 10.0,
        priority: str = "kl",
    ) -> None:
        self.atoms = checks.integer("atoms", atoms, minimum=2)
        self.low = checks.number("low", low)
        self.high = checks.number("high", high, above=self.low)
        self.priority = checks.choice("priority", priority, ("kl", "loss", "td"))
        self.support = np.linspace(self.low, self.high, self.atoms).astype("float32")

    def mean(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values, the means of the distributions, `(batch, actions)`."""
        return self._mean(ops.softmax(self._checked(outputs), axis=-1))

    def at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Returns the logits of the given actions, float32 `(batch, atoms)`."""
        return at_actions(self._checked(outputs), actions)

    def targets(
        self,
        rewards: Tensor,
        discounts: Tensor,
        next_outputs: Tensor,
        policy: Tensor,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Returns the probabilities of the atoms that are the target.

        The atoms are moved to `reward + discount * atom` and cut at the ends. Each
        gives its probability to the two atoms beside it, the nearer one more.

        Args:
            rewards, discounts, policy, offsets: See `Scalar.targets`.
            next_outputs: Float tensor, `(batch, actions, atoms)`: the target network's
                outputs for the next observations.

        Returns:
            Float32 tensor, `(batch, atoms)`. No gradient flows through it.
        """
        probabilities = ops.softmax(self._checked(next_outputs), axis=-1)
        rewards = ops.convert_to_tensor(rewards, "float32")
        discounts = ops.convert_to_tensor(discounts, "float32")
        policy = ops.convert_to_tensor(policy, "float32")
        check_matrices(means=self._mean(probabilities), policy=policy)
        check_vectors(policy.shape[0], rewards=rewards, discounts=discounts)
        weighted = ops.expand_dims(policy, -1) * probabilities
        if offsets is None:  # mixed first: the projection is linear
            weighted = ops.sum(weighted, axis=1, keepdims=True)
            moved = ops.expand_dims(rewards, 1)
        else:
            moved = ops.expand_dims(rewards, 1) + offsets
        discounts = ops.reshape(discounts, (-1, 1, 1))
        atoms = ops.expand_dims(moved, -1) + discounts * self._support()
        projected = ops.sum(self._project(atoms, weighted), axis=1)
        return ops.stop_gradient(projected)

    def losses(self, predicted: Tensor, targets: Tensor) -> Losses:
        """Returns the `Losses`: the cross-entropy of target and prediction.

        Args:
            predicted: Float32 tensor, logits, `(batch, atoms)`, see `at`.
            targets: Float32 tensor, probabilities, `(batch, atoms)`, see `targets`.
        """
        predicted = ops.convert_to_tensor(predicted)
        targets = ops.convert_to_tensor(targets)
        check_matrices(predicted=predicted, targets=targets)
        losses = -ops.sum(targets * ops.log_softmax(predicted, axis=-1), axis=-1)
        means = self._mean(ops.softmax(predicted, axis=-1))
        td_errors = means - self._mean(targets)
        if self.priority == "td":
            priorities = ops.abs(td_errors)
        elif self.priority == "loss":
            priorities = losses
        else:
            logarithms = ops.log(ops.maximum(targets, _SMALLEST))
            # Rounding could make the difference of two equal sums negative.
            priorities = ops.relu(losses + ops.sum(targets * logarithms, axis=-1))
        return Losses(losses, priorities, td_errors, means)

    def plain(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the Q-values of a network's symbolic outputs, with stock layers.

        The support is the kernel of a dense layer, so that a saved network has it.
        """
        probabilities = keras.layers.Softmax(dtype="float32", name="q_probabilities")
        mean = keras.layers.Dense(1, use_bias=False, dtype="float32", name="q_mean")
        q_values = mean(probabilities(outputs))
        mean.set_weights([self.support[:, None]])
        mean.trainable = False
        flat = keras.layers.Reshape(
            (outputs.shape[1],), dtype="float32", name="q_values"
        )
        return flat(q_values)

    def shown(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the probabilities of the atoms, of a network's symbolic outputs."""
        return keras.layers.Softmax(dtype="float32", name="q_probabilities")(outputs)

    def get_config(self) -> dict[str, Any]:
        return {
            "atoms": self.atoms,
            "low": self.low,
            "high": self.high,
            "priority": self.priority,
        }

    def _project(self, atoms, probabilities):
        """Returns the probabilities of the support, given those of other atoms.

        Every atom of the support takes from each other atom what its distance leaves,
        so no case is special, and no scatter is needed.

        Args:
            atoms, probabilities: `(batch, n, atoms)`.
        """
        spacing = (self.high - self.low) / (self.atoms - 1)
        atoms = ops.expand_dims(ops.clip(atoms, self.low, self.high), -2)
        support = ops.expand_dims(self._support(), -1)
        shares = ops.relu(1.0 - ops.abs(atoms - support) / spacing)
        return ops.sum(shares * ops.expand_dims(probabilities, -2), axis=-1)

    def _mean(self, probabilities):
        return ops.sum(probabilities * self._support(), axis=-1)

    def _support(self):
        return ops.convert_to_tensor(self.support)

    def _checked(self, outputs):
        outputs = as_outputs(outputs)
        if outputs.shape[-1] != self.atoms:
            raise ValueError(
                f"The outputs must have {self.atoms} atoms for each action. "
                f"Received: shape {tuple(outputs.shape)}"
            )
        return outputs
