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


def _best(q_values):
    """Returns one-hot vectors of the largest (first, if several) Q-values."""
    best = ops.argmax(q_values, axis=-1)
    return ops.one_hot(best, q_values.shape[-1], dtype="float32")


BACKUPS = {"greedy": Greedy, "double": Double}


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
