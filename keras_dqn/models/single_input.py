"""Gives a network one input: the observation as the replay stores it.

A replay stores one array for each observation, so a `Dict` or `Tuple` observation is
stored as one vector, see `envs.observations.Encoder`. `single_input` puts a few stock
operations in front of a network, which take the vector apart again.
"""

from __future__ import annotations

import itertools
import math
from typing import Any
from typing import NamedTuple
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

# Name (for a `Tuple` observation: number) and shape of each part of an observation,
# in the order in which they stand in the vector.
Parts: TypeAlias = tuple[tuple[str | int, tuple[int, ...]], ...]


class Observation(NamedTuple):
    """What environments give to a network.

    Attributes:
        shape: Tuple of integers, the shape of one observation.
        dtype: String, `"uint8"` or `"float32"`.
        parts: `Parts` of a `Dict` or `Tuple` observation, `None` for any other.
    """

    shape: tuple[int, ...]
    dtype: str
    parts: Parts | None

    @classmethod
    def of(cls, envs: Any) -> Observation:
        """Returns that of `VectorEnvs`."""
        shape, dtype = envs.observation_shape, envs.observation_dtype
        return cls(tuple(shape), str(dtype), envs.observation_parts)

    @classmethod
    def from_json(cls, values: Any) -> Observation:
        """Returns an observation from the lists that JSON makes of it."""
        shape, dtype, parts = values
        if parts is not None:
            parts = tuple((name, tuple(sides)) for name, sides in parts)
        return cls(tuple(shape), dtype, parts)


def has_single_input(network: Any) -> bool:
    """Whether a network is functional or a built Sequential, and has one input."""
    return len(getattr(network, "inputs", None) or ()) == 1


def single_input(network: keras.Model, observation: Observation) -> keras.Model:
    """Returns a functional model with one input that uses the network's variables.

    Args:
        network: `keras.Model`. With several inputs, these are the parts of the
            observation: a dictionary with their names, or a list of inputs with their
            names; for a `Tuple` observation a list in its order. A network that has
            no inputs, as a subclassed one, is called with an array; or with a
            dictionary or tuple of arrays for a `Dict` or `Tuple` observation.
        observation: What the environments give.

    Returns:
        `network` itself if it has one input.

    Raises:
        ValueError: If the inputs are not the parts of the observation, or if a call
            of the network fails.
    """
    if has_single_input(network):
        return network
    inputs = keras.Input(observation.shape, dtype=observation.dtype)
    given = inputs if observation.parts is None else _split(inputs, observation.parts)
    if getattr(network, "inputs", None):
        given = _fitted(network, given, observation)
    try:
        outputs = network(given)
    except Exception as error:
        raise ValueError(
            "`network` cannot be called with the observations of the environments: "
            f"{keras.tree.map_structure(_described, given)}. It raised "
            f"{type(error).__name__}: {error}"
        ) from error
    return keras.Model(inputs, outputs, name=f"{network.name}_single_input")


def parts_of(network: keras.Model) -> Parts:
    """Returns the name and the shape of each input of a network."""
    named = [(each.name, each) for each in network.inputs]
    if isinstance(network.input, dict):
        named = list(network.input.items())
    return tuple((name, tuple(tensor.shape[1:])) for name, tensor in named)


def size_of(parts: Parts) -> int:
    """Returns the length of the vector that has these parts."""
    return sum(math.prod(shape) for _, shape in parts)


def as_vector(observations: Any, parts: Parts) -> tuple[np.ndarray, bool]:
    """Returns observations as vectors, and whether they are one observation.

    Args:
        observations: Dictionary of arrays with the names of the parts, or a list or
            tuple in their order: one observation, or a batch with a first axis `n`.
        parts: See `Observation`.

    Returns:
        Float32 array, `(n, size)`, and a bool.

    Raises:
        ValueError: If a part is missing, unknown or of another shape.
    """
    values = observations
    if isinstance(values, list | tuple) and len(values) == len(parts):
        names = [name for name, _ in parts]
        values = dict(zip(names, values, strict=True))
    if not isinstance(values, dict) or set(values) != {name for name, _ in parts}:
        received = f"{list(values)}" if isinstance(values, dict) else type(values)
        raise ValueError(
            "`observations` must be a dictionary with the parts "
            f"{[name for name, _ in parts]}. Received: {received}"
        )
    arrays = [np.asarray(values[name], "float32") for name, _ in parts]
    pairs = [
        (array.shape, shape) for array, (_, shape) in zip(arrays, parts, strict=True)
    ]
    is_single = all(given == shape for given, shape in pairs)
    is_batch = all(given[1:] == shape for given, shape in pairs)
    is_batch = is_batch and len({given[:1] for given, _ in pairs}) == 1
    if not is_single and not is_batch:
        raise ValueError(
            "`observations` must have parts of the shapes "
            f"{[shape for _, shape in pairs]}, all for one observation or all for a "
            f"batch. Received: {[given for given, _ in pairs]}"
        )
    count = 1 if is_single else len(arrays[0])
    return np.concatenate([each.reshape(count, -1) for each in arrays], 1), is_single


def _split(vector, parts):
    """Returns the parts of a vector as `Dict` or `Tuple` of the space has them."""
    sizes = [math.prod(shape) for _, shape in parts]
    stops = list(itertools.accumulate(sizes))
    tensors = [
        keras.layers.Reshape(shape)(vector[:, stop - size : stop])
        for (_, shape), size, stop in zip(parts, sizes, stops, strict=True)
    ]
    if all(isinstance(name, int) for name, _ in parts):
        return tuple(tensors)
    return {name: each for (name, _), each in zip(parts, tensors, strict=True)}


def _fitted(network, given, observation):
    """Returns the parts in the structure and the dtypes of the network's inputs."""
    if isinstance(given, tuple):
        given, wanted = dict(enumerate(given)), dict(enumerate(network.inputs))
    elif isinstance(network.input, dict):
        wanted = network.input
    else:
        wanted = {each.name: each for each in network.inputs}
    if not isinstance(given, dict) or not _matches(wanted, given):
        raise ValueError(
            "The inputs of `network` must be the parts of the observation: "
            f"{observation.parts or observation.shape}. Received: "
            f"{ {name: _described(tensor) for name, tensor in wanted.items()} }"
        )
    cast = {name: ops.cast(given[name], want.dtype) for name, want in wanted.items()}
    return cast if isinstance(network.input, dict) else list(cast.values())


def _matches(wanted, given):
    """Whether two dictionaries have the same names and shapes."""
    if set(wanted) != set(given):
        return False
    return all(
        len(want.shape) == len(given[name].shape)
        and all(
            a in (None, b) for a, b in zip(want.shape, given[name].shape, strict=True)
        )
        for name, want in wanted.items()
    )


def _described(tensor):
    return f"{tensor.dtype}{list(tensor.shape[1:])}"
