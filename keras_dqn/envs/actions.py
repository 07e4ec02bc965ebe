"""Numbers the actions of a Gymnasium action space from 0."""

from __future__ import annotations

import math

import numpy as np
from gymnasium import spaces


class Actions:
    """The actions of a space, numbered from 0.

    Args:
        env_id: String, for the error message.
        space: The action space: `Discrete`, or `MultiDiscrete` with one axis.
        flatten: Boolean, whether each combination of a `MultiDiscrete` space is an
            action of its own. The last number of a combination changes fastest.

    Attributes:
        count: Integer, the number of actions.

    Raises:
        ValueError: If the space is of another kind, or `MultiDiscrete` without
            `flatten`, or has no action.
    """

    def __init__(self, env_id: str, space: spaces.Space, flatten: bool = False) -> None:
        received = f"Received: {env_id} with action_space={space}"
        if isinstance(space, spaces.Discrete):
            lengths, start = [space.n], space.start
        elif isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
            if not flatten:
                raise ValueError(
                    "`env` must have a `Discrete` action space. With "
                    "`flatten_actions=True` each of the "
                    f"{math.prod(map(int, space.nvec)):,} combinations is an action. "
                    f"{received}"
                )
            lengths, start = list(space.nvec), space.start
        else:
            raise ValueError(
                "`env` must have a `Discrete` action space of `gymnasium.spaces`. "
                "Choose a list of actions, and translate its indices with "
                f"`gymnasium.wrappers.TransformAction`. {received}"
            )
        self._lengths = tuple(map(int, lengths))
        self._start = np.asarray(start)
        self.count = math.prod(self._lengths)
        if self.count < 1:
            raise ValueError(f"`env` must have at least one action. {received}")
        self._is_single = isinstance(space, spaces.Discrete)

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Returns what the environments' `step` takes.

        Args:
            numbers: int64 array, shape `(n,)`, each from 0 to `count - 1`.

        Returns:
            int64 array, `(n,)`, for `MultiDiscrete` `(n, axes)`.
        """
        if self._is_single:
            return numbers + self._start
        return np.stack(np.unravel_index(numbers, self._lengths), axis=1) + self._start
