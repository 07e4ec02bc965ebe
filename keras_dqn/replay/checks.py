"""What the replay asks of the values it is given, and how it complains."""

import math

import numpy as np

from keras_dqn import checks

MAX_ACTION = 2**31 - 1  # they are kept as int32
MAX_FRAME_STACK = 255  # ages within a stack are kept as bytes


def check_observations(name, value, shape, dtype):
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


def checked_spec(num_envs, stored_shape, dtype, frame_stack):
    """Returns the arguments of `build`, normalized; raises `ValueError`."""
    shape = tuple(stored_shape)
    for length in shape:
        checks.integer("stored_shape[i]", length, minimum=1)
    frame_stack = checks.integer("frame_stack", frame_stack, 0, MAX_FRAME_STACK)
    if frame_stack and shape[:1] != (frame_stack,):
        raise ValueError(
            "`stored_shape` must begin with `frame_stack`. "
            f"Received: stored_shape={shape}, frame_stack={frame_stack}"
        )
    if np.dtype(dtype).kind not in "biuf":
        raise ValueError(
            "`dtype` must be one of booleans, integers or floats. "
            f"Received: dtype={np.dtype(dtype)}"
        )
    return {
        "num_envs": checks.integer("num_envs", num_envs, minimum=1),
        "stored_shape": tuple(int(length) for length in shape),
        "dtype": np.dtype(dtype).name,
        "frame_stack": frame_stack,
    }


def checked_actions(actions, num_envs):
    """Returns `actions` as an array that fits into int32; raises `ValueError`."""
    actions = _checked_vector("actions", actions, num_envs, "iu", "integers")
    numbers = actions.tolist()
    if min(numbers) < 0 or max(numbers) > MAX_ACTION:
        raise ValueError(
            f"`actions` must be from 0 to 2**31 - 1. Received: actions={actions}"
        )
    return actions


def checked_rewards(rewards, num_envs):
    """Returns `rewards` as float32; raises `ValueError` if one is not finite."""
    name = "training_rewards"
    rewards = _checked_vector(name, rewards, num_envs, "biuf", "numbers")
    if rewards.dtype != np.float32:
        with np.errstate(over="ignore"):  # too large a number becomes inf
            rewards = rewards.astype(np.float32)
    if not all(map(math.isfinite, rewards.tolist())):
        env = np.flatnonzero(~np.isfinite(rewards))[0]
        raise ValueError(
            f"`{name}` must be finite, as float32. "
            f"Received: {rewards[env]} from environment {env}"
        )
    return rewards


def checked_ends(step, num_envs):
    """Returns `step`'s `terminated` and `restarted`; raises `ValueError`."""
    terminated, truncated, restarted = (
        _checked_vector(name, getattr(step, name), num_envs, "b", "booleans")
        for name in ("terminated", "truncated", "restarted")
    )
    if not any(terminated.tolist() + truncated.tolist() + restarted.tolist()):
        return terminated, restarted
    unexplained = np.flatnonzero(restarted & ~terminated & ~truncated)
    if unexplained.size:
        raise ValueError(
            "An environment that `restarted` must have `terminated` or been "
            f"`truncated`. Received: neither, from environment {unexplained[0]}"
        )
    unfinished = np.flatnonzero(truncated & ~restarted)
    if unfinished.size:
        raise ValueError(
            "An environment that was `truncated` must have `restarted` in the same "
            f"step. Received: it did not, from environment {unfinished[0]}"
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


def check_state_array(state, name, shape, dtype):
    """Raises `ValueError` unless `state[name]` is such an array."""
    if name not in state:
        raise ValueError(f"The state must contain `{name}`. It does not.")
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


def check_state_equals(state, name, value):
    """Raises `ValueError` unless `state[name]` is this scalar array."""
    check_state_array(state, name, (), value.dtype)
    if state[name] != value:
        raise ValueError(
            f"The state must be of a replay with {name}={value}. "
            f"Received: {name}={state[name]}"
        )
