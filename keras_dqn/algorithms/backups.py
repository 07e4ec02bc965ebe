"""Backups: the policy for the next action in the targets.

A backup turns the Q-values of the next states into a policy: the probabilities of
the next actions. The target network always evaluates these actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Self

import keras
from keras import ops

from keras_dqn import checks
from keras_dqn.algorithms.maths import at_actions
from keras_dqn.backend.interface import Tensor


@keras.saving.register_keras_serializable(package="keras_dqn")
class Greedy:
    """The target network chooses the next action and evaluates it (DQN).

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), algorithm 1.
    """

    def policy(
        self, next_q_target: Callable[[], Tensor], next_q_online: Callable[[], Tensor]
    ) -> Tensor:
        """Returns the probabilities of the next actions, float32 `(batch, actions)`.

        Args:
            next_q_target: Function without arguments that returns the target
                network's Q-values of the next states, `(batch, actions)`.
            next_q_online: The same for the online network. These Q-values are only
                computed if the function is called.
        """
        return _best(next_q_target())

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls()


@keras.saving.register_keras_serializable(package="keras_dqn")
class Double(Greedy):
    """The online network chooses the next action, the target network evaluates it.

    Reference:
        - [van Hasselt et al., 2016](https://arxiv.org/abs/1509.06461), section
          "Double Q-learning".
    """

    def policy(
        self, next_q_target: Callable[[], Tensor], next_q_online: Callable[[], Tensor]
    ) -> Tensor:
        """See `Greedy.policy`."""
        return _best(next_q_online())


@keras.saving.register_keras_serializable(package="keras_dqn")
class Munchausen(Greedy):
    """A softmax policy of the target network, with its logarithm in the reward.

    The next actions have the probabilities `softmax(Q(s', .) / tau)`. The reward gets
    `alpha * tau * log policy(a | s)`, clipped from below, and each next action
    `-discount * tau * log policy(a' | s')`. Both policies are the target network's.
    No action is chosen, so there is no double Q-learning.

    Args:
        alpha: Float from 0 to 1, the weight of the logarithm in the reward.
        tau: Positive float, the temperature, in units of return.
        clip: Negative float, the smallest `tau * log policy(a | s)`.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        - [Vieillard et al., 2020](https://arxiv.org/abs/2007.14430), section 3 and
          appendix B.
    """

    def __init__(
        self, alpha: float = 0.9, tau: float = 0.03, clip: float = -1.0
    ) -> None:
        self.alpha = checks.probability("alpha", alpha)
        self.tau = checks.number("tau", tau, above=0.0)
        self.clip = checks.number("clip", clip, maximum=0.0)

    def policy(
        self, next_q_target: Callable[[], Tensor], next_q_online: Callable[[], Tensor]
    ) -> Tensor:
        """See `Greedy.policy`."""
        return ops.softmax(next_q_target() / self.tau, axis=-1)

    def shaping(
        self,
        actions: Tensor,
        discounts: Tensor,
        q_target: Callable[[], Tensor],
        next_q_target: Callable[[], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Returns what is added to the reward.

        Args:
            actions, discounts: Tensors, `(batch,)`.
            q_target, next_q_target: Functions that return the target network's
                Q-values `(batch, actions)` of the states and of the next states.

        Returns:
            Two float32 tensors: `(batch,)`, and `(batch, actions)` for each next
            action.
        """
        taken = at_actions(self._scaled_logarithms(q_target()), actions)
        bonuses = self.alpha * ops.clip(taken, self.clip, 0.0)
        logarithms = self._scaled_logarithms(next_q_target())
        discounts = ops.expand_dims(ops.convert_to_tensor(discounts, "float32"), 1)
        return bonuses, -discounts * logarithms

    def _scaled_logarithms(self, q_values):
        """Returns `tau * log softmax(q / tau)`, finite for all finite Q-values."""
        return self.tau * ops.log_softmax(q_values / self.tau, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "tau": self.tau, "clip": self.clip}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def _best(q_values):
    """Returns one-hot vectors of the largest (first, if several) Q-values."""
    best = ops.argmax(q_values, axis=-1)
    return ops.one_hot(best, q_values.shape[-1], dtype="float32")


BACKUPS = {"greedy": Greedy, "double": Double, "munchausen": Munchausen}


def as_backup(backup: Any) -> Any:
    """Returns a backup object, given the object or a name from `BACKUPS`."""
    if isinstance(backup, str) and backup in BACKUPS:
        return BACKUPS[backup]()
    is_object = not isinstance(backup, type)
    if not (is_object and callable(getattr(backup, "policy", None))):
        raise ValueError(
            f"`backup` must be one of {', '.join(map(repr, BACKUPS))}, or an object "
            f"with a method `policy`. Received: backup={backup!r}"
        )
    return backup
