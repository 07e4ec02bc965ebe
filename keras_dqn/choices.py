"""What a caller of `fit` can put in place of schedules and epsilon-greedy actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_dqn import checks
from keras_dqn import interfaces
from keras_dqn.exploration import epsilon_greedy


@dataclasses.dataclass(frozen=True)
class Choices:
    """What `fit` takes in place of the settings' schedules and epsilon-greedy actions.

    Attributes:
        exploration: Function that chooses actions.
        epsilon, beta: Schedules, or `None`: those of the settings.
    """

    exploration: interfaces.Exploration = epsilon_greedy
    epsilon: interfaces.Schedule | None = None
    beta: interfaces.Schedule | None = None

    @classmethod
    def of(
        cls, exploration: Any, epsilon: Any, beta: Any, changes: Mapping[str, Any]
    ) -> Choices:
        """Returns checked choices.

        Args:
            exploration, epsilon, beta: See the class.
            changes: Settings that are given, too.

        Raises:
            TypeError: If one of them is not callable.
            ValueError: If there is a schedule in `changes` for the same number.
        """
        if not callable(exploration) or isinstance(exploration, type):
            rule = "a function of Q-values, epsilon and a generator"
            name = "keras_dqn.exploration.epsilon_greedy"
            raise checks.wrong_kind("exploration", rule, exploration, name)
        for name, schedule in (("epsilon", epsilon), ("beta", beta)):
            if schedule is None:
                continue
            if not callable(schedule) or isinstance(schedule, type):
                rule = "a function of the agent steps taken"
                value = schedule if isinstance(schedule, int | float) else 0.1
                instead = f"lambda env_steps: {value}"
                raise checks.wrong_kind(name, rule, schedule, instead)
            both = {f"{name}_endpoints", f"{name}_final"} & set(changes)
            if both:
                rule = f"left out if `{both.pop()}` is given"
                raise checks.ArgumentError(name, rule, schedule)
        return cls(exploration, epsilon, beta)
