"""What the outputs of a network mean: one number for each action, or a distribution.

| class | outputs for each action | loss |
| --- | --- | --- |
| `Scalar` | the expected return | Huber loss of the TD error |
| `Categorical` | logits of fixed values of the return | cross-entropy |
| `Quantiles` | quantiles of the return | quantile Huber loss |

Each says what the Q-values of the outputs are, what the target of a transition is, and
what the loss is. All compute in float32. `interfaces.Distribution` is what they have in
common: outputs have the shape `(batch, actions, K)`, those of `Scalar`
`(batch, actions)`.
"""

from __future__ import annotations

from typing import Any
from typing import NamedTuple
from typing import Self

import keras
from keras import ops

from keras_dqn import checks
from keras_dqn.algorithms.maths import at_actions
from keras_dqn.algorithms.maths import check_matrices
from keras_dqn.algorithms.maths import check_vectors
from keras_dqn.algorithms.maths import huber
from keras_dqn.backend.interface import Tensor


class Losses(NamedTuple):
    """The losses and TD errors of a minibatch: float32 tensors `(batch,)`.

    Attributes:
        losses: Loss of each transition, without importance-sampling weight.
        priorities: Priority of each transition, at least 0.
        td_errors: Prediction minus target, signed, in units of return.
        q_values: Predicted Q(s, a).
    """

    losses: Tensor
    priorities: Tensor
    td_errors: Tensor
    q_values: Tensor


class Plain:
    """Base class: arguments are attributes of the same names."""

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, of JSON types."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns an object that `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_dqn")
class Scalar(Plain):
    """The outputs are Q-values, `(batch, actions)`: one expected return per action.

    Args:
        huber_delta: Positive float: TD errors above it have a linear loss.
        priority: `"td"`: |TD error|; `"loss"`: the loss.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, huber_delta: float = 1.0, priority: str = "td") -> None:
        self.huber_delta = checks.number("huber_delta", huber_delta, above=0.0)
        self.priority = checks.choice("priority", priority, ("td", "loss"))

    def mean(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values of outputs, float32 `(batch, actions)`."""
        outputs = ops.cast(ops.convert_to_tensor(outputs), "float32")
        check_matrices(q_values=outputs)
        return outputs

    def at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Returns Q(s, a) for the given actions, float32 `(batch,)`.

        Args:
            outputs: Float tensor, `(batch, actions)`.
            actions: Integer tensor, `(batch,)`.

        Raises:
            ValueError: If a shape is wrong.
        """
        return at_actions(self.mean(outputs), actions)

    def targets(
        self,
        rewards: Tensor,
        discounts: Tensor,
        next_outputs: Tensor,
        policy: Tensor,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Returns the targets for Q(s, a): `reward + discount * next value`.

        Args:
            rewards: Float tensor, `(batch,)`: the reward, or the discounted sum of
                n rewards.
            discounts: Float tensor, `(batch,)`: gamma to the power of the number of
                steps to the next observation, or 0 where the environment terminated.
            next_outputs: Float tensor, `(batch, actions)`: the target network's
                outputs for the next observations.
            policy: Float tensor, `(batch, actions)`: probabilities of the next
                actions, see `backups`.
            offsets: Float tensor, `(batch, actions)`, added to the reward if the next
                action is this one, see `backups.Munchausen`. `None`: nothing.

        Returns:
            Float32 tensor, `(batch,)`. No gradient flows through it.

        Raises:
            ValueError: If a shape is wrong. A shape `(batch, 1)` would otherwise be
                broadcast to `(batch, batch)`.

        Example:

        >>> float(Scalar().targets([1.0], [0.5], [[10.0, 20.0]], [[1.0, 0.0]])[0])
        6.0

        Reference:
            - [van Hasselt et al., 2016](https://arxiv.org/abs/1509.06461), section
              "Double Q-learning", equation 4.
        """
        rewards = ops.convert_to_tensor(rewards, "float32")
        discounts = ops.convert_to_tensor(discounts, "float32")
        next_q_values = self.mean(next_outputs)
        policy = ops.convert_to_tensor(policy, "float32")
        check_matrices(next_outputs=next_q_values, policy=policy)
        check_vectors(next_q_values.shape[0], rewards=rewards, discounts=discounts)
        next_values = ops.sum(next_q_values * policy, axis=-1)
        targets = rewards + discounts * next_values
        if offsets is not None:
            check_matrices(next_outputs=next_q_values, offsets=offsets)
            targets += ops.sum(offsets * policy, axis=-1)
        return ops.stop_gradient(targets)

    def losses(self, predicted: Tensor, targets: Tensor) -> Losses:
        """Returns the `Losses` of the predictions.

        Args:
            predicted: Float32 tensor, `(batch,)`, see `at`.
            targets: Float32 tensor, `(batch,)`, see `targets`.

        Raises:
            ValueError: If a shape is wrong.

        Reference:
            - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), section 3.3:
              the priority is |TD error|.
        """
        predicted = ops.convert_to_tensor(predicted)
        targets = ops.convert_to_tensor(targets)
        check_vectors(predicted.shape[0], predicted=predicted, targets=targets)
        td_errors = predicted - targets
        losses = huber(td_errors, self.huber_delta)
        priorities = losses if self.priority == "loss" else ops.abs(td_errors)
        return Losses(losses, priorities, td_errors, predicted)

    def plain(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the Q-values of a network's symbolic outputs, with stock layers."""
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {"huber_delta": self.huber_delta, "priority": self.priority}
