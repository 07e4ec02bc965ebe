"""Converts observations of Gymnasium environments to float32 or uint8 arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from keras_dqn.envs.step import EnvFault


class Encoder:
    """Checks observations against their space, and converts them to arrays.

    Observations of a uint8 `Box` stay uint8. Those of any other `Box`, and of
    `MultiBinary`, become float32; those of `Discrete` become one-hot float32. Those of
    `Dict` and `Tuple` become one float32 vector, as `gymnasium.spaces.flatten` makes
    it: the parts in the order of the space, each in C order.

    Args:
        env_id: String, for the error message.
        space: The observation space: `Box`, `Discrete`, `MultiBinary`, or a `Dict` or
            `Tuple` of those and of `MultiDiscrete`.

    Attributes:
        shape: Tuple, the shape of an encoded observation.
        dtype: `np.dtype`, uint8 or float32.
        shows_images: Bool, whether observations are uint8 images: `(height, width)`,
            or with a last axis of 1 or 3 colors.
        parts: Tuple of pairs `(name, shape)`: what a `Dict` (for a `Tuple`: number and
            shape) puts into the vector, in its order. Parts of these kinds inside it
            are vectors. `None` for any other space.

    Raises:
        ValueError: If `space` is of another kind.
    """

    shape: tuple[int, ...]
    encode: Callable[[str, Any], np.ndarray]
    parts: tuple[tuple[str | int, tuple[int, ...]], ...] | None = None

    def __init__(self, env_id: str, space: spaces.Space) -> None:
        is_nested = isinstance(space, spaces.Dict | spaces.Tuple)
        if is_nested and _is_flattenable(space):
            self.shape = spaces.flatten_space(space).shape
            self.dtype, self.shows_images = np.dtype("float32"), False
            self.encode, self._space = self._flat, space
            self.parts = tuple(_parts(space))
            return
        if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiBinary):
            raise ValueError(
                "`env` must have a `Box`, `Discrete` or `MultiBinary` observation "
                f"space of `gymnasium.spaces`. {_advice(space)} Received: "
                f"{env_id} with observation_space={space}"
            )
        is_discrete = isinstance(space, spaces.Discrete)
        shape = (space.n,) if is_discrete else space.shape
        self.shape = tuple(int(side) for side in shape)
        is_bytes = isinstance(space, spaces.Box) and space.dtype == np.uint8
        self.dtype = np.dtype("uint8" if is_bytes else "float32")
        is_color = len(self.shape) == 3 and self.shape[2] in (1, 3)
        self.shows_images = is_bytes and (len(self.shape) == 2 or is_color)
        self.encode = self._one_hot if is_discrete else self._array
        self._space = space

    def _one_hot(self, where, observation):
        """Returns a one-hot float32 array, shape `(n,)`."""
        array = _as_array(observation)
        position = -1
        if array.shape == () and array.dtype.kind in "biuf" and np.isfinite(array):
            if array == int(array):
                position = int(array) - int(self._space.start)
        if not 0 <= position < self._space.n:
            _refuse(where, observation, f"an integer in {self._space}")
        one_hot = np.zeros(self.shape, np.float32)
        one_hot[position] = 1.0
        return one_hot

    def _flat(self, where, observation):
        """Returns all parts of a `Dict` or `Tuple` as one finite float32 vector."""
        try:
            flat = spaces.flatten(self._space, observation).astype(np.float32)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise EnvFault(
                f"{where}: the observation must be in {self._space}: {error}"
            ) from error
        if flat.shape != self.shape or not np.isfinite(flat).all():
            _refuse(where, flat, f"finite, and in {self._space}")
        return flat

    def _array(self, where, observation):
        """Returns a new, finite array of `shape` and `dtype`."""
        array, space = _as_array(observation), self._space
        if array.shape != space.shape or array.dtype != space.dtype:
            self._check_castable(where, observation, array)
        if array.dtype == self.dtype:
            array = array.copy()
        else:
            with np.errstate(over="ignore"):  # inf is refused below
                array = array.astype(self.dtype)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise EnvFault(
                f"{where}: the observation must be finite in float32. "
                f"Received: {observation!r}"
            )
        return array

    def _check_castable(self, where, observation, array):
        """Raises `EnvFault` unless a cast loses nothing but digits of floats."""
        space = self._space
        if array.shape == space.shape and array.dtype.kind in "biuf":
            if space.dtype.kind == "f":
                return
            with np.errstate(invalid="ignore"):
                if np.array_equal(array.astype(space.dtype), array):
                    return
        rule = f"of shape {space.shape} and dtype {space.dtype}, as declared"
        _refuse(where, observation, f"{rule}, or be cast to it without loss")


def _parts(space):
    """Yields the name (or number) and the shape of each part of a space."""
    inner = space.spaces
    items = inner.items() if isinstance(space, spaces.Dict) else enumerate(inner)
    for name, part in items:
        is_array = isinstance(part, spaces.Box | spaces.MultiBinary)
        shape = part.shape if is_array else (spaces.flatdim(part),)
        yield name, tuple(int(side) for side in shape)


def _is_flattenable(space):
    """Whether Gymnasium makes one array of the observations of a space."""
    try:
        return space.is_np_flattenable
    except NotImplementedError:  # a space of another package, or a part of that kind
        return False


def _advice(space):
    """Says which wrapper makes the observations of a space arrays."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    kept = [name for name, part in parts.items() if _is_flattenable(part)]
    if not kept:
        return (
            "Flatten any other space with "
            "`lambda: gymnasium.wrappers.FlattenObservation(MyEnv())`."
        )
    left_out = ", ".join(f"`{name}`" for name in parts if name not in kept)
    return (
        f"{left_out} cannot become an array. Leave it out with "
        f"`lambda: gymnasium.wrappers.FilterObservation(MyEnv(), {kept})`."
    )


def _as_array(observation):
    try:
        return np.asarray(observation)
    except ValueError:  # lists of unequal lengths
        return np.array(None)


def _refuse(where, observation, rule):
    array = _as_array(observation)
    received = f"shape={array.shape}, dtype={array.dtype}"
    if array.shape == ():
        received = repr(observation)
    raise EnvFault(f"{where}: the observation must be {rule}. Received: {received}")
