"""What environments do wrong, as an `EnvFault`."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from keras_dqn.envs.step import EnvFault

_LARGEST = float(np.finfo(np.float32).max)


def failure(where: str, error: Exception) -> EnvFault:
    """Returns the fault of an environment that raised `error`."""
    return EnvFault(f"{where}: {type(error).__name__}: {error}")


def check_reward(where: str, reward: Any) -> Any:
    """Returns the reward as an `np.float32`.

    Args:
        where: String, for the error message.
        reward: What `step` returned.

    Raises:
        EnvFault: If it is no number, or not finite in float32.
    """
    is_scalar = isinstance(reward, np.ndarray) and reward.shape == ()
    number = reward[()] if is_scalar else reward
    if not isinstance(number, numbers.Real | np.bool_):
        raise EnvFault(f"{where}: `reward` must be a number. Received: {reward=}")
    if not -_LARGEST <= number <= _LARGEST:  # type: ignore[operator] # or NaN
        raise EnvFault(
            f"{where}: `reward` must be finite in float32. Received: {reward=}"
        )
    return np.float32(number)
