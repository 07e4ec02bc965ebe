"""Checks the arguments and the states of a replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn import checks

MAX_ACTION = 2**31 - 1  # actions are stored as int32
MAX_FRAME_STACK = 255  # steps since the episode's start are stored as uint8


def check_observations(
    name: str, value: object, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    """Raises `ValueError` unless `value` is an array of this shape and dtype."""
    if not isinstance(value, np.ndarray):
        raise ValueError(
            f"`{name}` must be a NumPy array. Received: {name} of type "
            f"{type(value).__name__}"
        )
    if value.shape != shape or value.dtype != dtype:
        raise ValueError(
            f"`{name}` must have shape {shape} and dtype {dtype}. Received: "
            f"{name}.shape={value.shape}, {name}.dtype={value.dtype}"
        )


def checked_spec(
    num_envs: int, stored_shape: Sequence[int], dtype: npt.DTypeLike, frame_stack: int
) -> dict[str, Any]:
    """Returns the arguments of `build` by name; raises `ValueError` if invalid."""
    shape = tuple(stored_shape)
    for length in shape:
        checks.integer("stored_shape[i]", length, minimum=1)
    frame_stack = checks.integer("frame_stack", frame_stack, 0, MAX_FRAME_STACK)
    if frame_stack and shape[:1] != (frame_stack,):
        raise ValueError(
            "The first length in `stored_shape` must be `frame_stack`. "
            f"Received: stored_shape={shape}, frame_stack={frame_stack}"
        )
    if np.dtype(dtype).kind not in "biuf":
        raise ValueError(
            "`dtype` must be a boolean, integer or float dtype. "
            f"Received: dtype={np.dtype(dtype)}"
        )
    return {
        "num_envs": checks.integer("num_envs", num_envs, minimum=1),
        "stored_shape": tuple(int(length) for length in shape),
        "dtype": np.dtype(dtype).name,
        "frame_stack": frame_stack,
    }


def check_capacity(capacity: int, n_steps: int, num_envs: int) -> None:
    """Raises `ValueError` unless a replay can have this capacity."""
    if capacity % num_envs:
        raise ValueError(
            "`capacity` must be a multiple of `num_envs`. "
            f"Received: capacity={capacity}, num_envs={num_envs}"
        )
    if capacity <= n_steps * num_envs:
        raise ValueError(
            "`capacity` must be more than `n_steps * num_envs`. Received: "
            f"capacity={capacity}, n_steps={n_steps}, num_envs={num_envs}"
        )


def checked_actions(actions: np.ndarray | Sequence[Any], num_envs: int) -> np.ndarray:
    """Returns `actions` as an array; raises `ValueError` unless int32 can hold it."""
    checked = _checked_vector("actions", actions, num_envs, "iu", "integers")
    numbers = checked.tolist()
    if min(numbers) < 0 or max(numbers) > MAX_ACTION:
        raise ValueError(
            f"`actions` must be from 0 to 2**31 - 1. Received: actions={checked}"
        )
    return checked


def checked_rewards(rewards: np.ndarray | Sequence[Any], num_envs: int) -> np.ndarray:
    """Returns `rewards` as float32; raises `ValueError` if one is not finite."""
    name = "training_rewards"
    checked = _checked_vector(name, rewards, num_envs, "biuf", "numbers")
    if checked.dtype != np.float32:
        with np.errstate(over="ignore"):  # refused below, as inf
            checked = checked.astype(np.float32)
    if not all(map(math.isfinite, checked.tolist())):
        env = np.flatnonzero(~np.isfinite(checked))[0]
        raise ValueError(
            f"`{name}` must be finite in float32. "
            f"Received: {checked[env]} from environment {env}"
        )
    return checked


def checked_ends(step: Any, num_envs: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `terminated` and `restarted`; raises `ValueError` if inconsistent."""
    terminated, truncated, restarted = (
        _checked_vector(name, getattr(step, name), num_envs, "b", "booleans")
        for name in ("terminated", "truncated", "restarted")
    )
    if not any(terminated.tolist() + truncated.tolist() + restarted.tolist()):
        return terminated, restarted
    unexplained = np.flatnonzero(restarted & ~terminated & ~truncated)
    if unexplained.size:
        raise ValueError(
            "Where `restarted` is true, `terminated` or `truncated` must be true. "
            f"Received: both are false for environment {unexplained[0]}"
        )
    unfinished = np.flatnonzero(truncated & ~restarted)
    if unfinished.size:
        raise ValueError(
            "Where `truncated` is true, `restarted` must be true. "
            f"Received: it is false for environment {unfinished[0]}"
        )
    return terminated, restarted


def _checked_vector(name, value, length, kinds, what):
    value = np.asarray(value)
    if value.shape != (length,) or value.dtype.kind not in kinds:
        raise ValueError(
            f"`{name}` must be {what}, one per environment: shape ({length},). "
            f"Received: {name}.shape={value.shape}, {name}.dtype={value.dtype}"
        )
    return value


def check_state_array(
    state: Mapping[str, Any], name: str, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> None:
    """Raises `ValueError` unless `state[name]` has this shape and dtype."""
    if name not in state:
        raise ValueError(f"The state must contain `{name}`. Received: {sorted(state)}")
    value = state[name]
    if not isinstance(value, np.ndarray) and not hasattr(value, "read_into"):
        raise ValueError(
            f"`{name}` in the state must be a NumPy array. Received: {name} of "
            f"type {type(value).__name__}"
        )
    if value.shape != shape or value.dtype != dtype:
        raise ValueError(
            f"`{name}` in the state must have shape {shape} and dtype "
            f"{np.dtype(dtype)}. Received: {name}.shape={value.shape}, "
            f"{name}.dtype={value.dtype}"
        )


def check_state_equals(state: Mapping[str, Any], name: str, value: np.ndarray) -> None:
    """Raises `ValueError` unless the scalar array `state[name]` equals `value`."""
    check_state_array(state, name, (), value.dtype)
    if state[name] != value:
        raise ValueError(
            f"The state must be of a replay with {name}={value}. "
            f"Received: {name}={state[name]}"
        )
