"""Checks that the copy of a network computes the same function."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_dqn.models.layer_tree import sublayers

# The length of dimensions that are `None`, enough for convolutions of game frames.
UNKNOWN_SIZE = 64
# Largest difference of outputs, relative to the largest output. Both networks run the
# same operations on the same numbers, but sums may be computed in another order.
TOLERANCE = 1e-5
HOW_TO_FIX = (
    "A layer is copied with `get_config`, `from_config` and its variables. Everything "
    "else that its output depends on must be a constructor argument that `get_config` "
    "returns, or a variable (`add_weight(..., trainable=False)`). Write a layer class "
    "in place of a Lambda inside another layer."
)


def check_copy(network: keras.Model, copy: keras.Model) -> None:
    """Checks that a copy computes the same function, now and after weights change.

    Both networks run on one random batch in inference mode. Then the weights of
    `network` change: the outputs of the copy must stay the same, and must be equal
    again once the copy has the new weights. At the end the variables of both networks,
    seeds included, are those that `network` had before, bit for bit.

    Args:
        network: `keras.Model` with one input and one output.
        copy: `keras.Model` that `copy_network` made of `network`.

    Raises:
        ValueError: If outputs differ, with the first layer where they do. Or if the
            outputs of `network` depend on state that is not in its variables.
    """
    batch = [_random_input(network, tensor) for tensor in network.inputs]
    saved = values_of(network)
    changed = [
        np.float32(1.25) * value + np.float32(2**-10) if _is_float(variable) else value
        for variable, value in zip(network.variables, saved, strict=True)
    ]
    assign(copy, saved)
    try:
        try:
            before = _run(network, batch)
        except Exception as error:
            warnings.warn(
                "The copy of `network` could not be checked, because `network` does "
                f"not run on random inputs: {error}",
                stacklevel=2,
            )
            return
        assign(network, saved)
        if not _are_close(_run(network, batch), before):
            raise ValueError(
                "`network` cannot be copied: its outputs differ when it runs on the "
                "same batch again with the same variables. A layer keeps state that is "
                "not in its variables, as recurrent layers with `stateful=True` do."
            )
        _check_same(network, copy, batch, before, "gives different outputs")
        state = values_of(copy)
        assign(network, changed)
        pairs = zip(values_of(copy), state, strict=True)
        if not all(np.array_equal(*pair, equal_nan=True) for pair in pairs):
            raise ValueError("`network` cannot be copied: the copy shares memory")
        assign(copy, saved)  # the run may have changed seeds
        _check_same(network, copy, batch, before, "uses the original's weights")
        assign(copy, changed)
        after = _run(network, batch)
        _check_same(
            network, copy, batch, after, "keeps its old weights when they are set"
        )
    finally:
        assign(network, saved)
        assign(copy, saved)


def values_of(network: keras.Model) -> list[np.ndarray]:
    """Returns copies of the variables as NumPy arrays, bfloat16 as float32."""
    return [
        np.array(ops.convert_to_numpy(variable.value)) for variable in network.variables
    ]


def assign(network: keras.Model, values: Sequence[np.ndarray]) -> None:
    """Sets the variables to copies of NumPy arrays. JAX may keep what it is given."""
    for variable, value in zip(network.variables, values, strict=True):
        variable.assign(np.array(value))


def _is_float(variable):
    return keras.backend.is_float_dtype(variable.dtype)


def _random_input(network, tensor):
    """Returns a small random batch for one of the inputs.

    An `Embedding` accepts all its values: it truncates the floats to 0.
    """
    rng = np.random.default_rng(0)
    shape = [UNKNOWN_SIZE if size is None else size for size in tensor.shape]
    shape[0] = tensor.shape[0] or 2
    if keras.backend.is_float_dtype(tensor.dtype):
        return rng.uniform(-1, 1, shape).astype("float32")
    counts = [
        layer.input_dim
        for layer in sublayers(network)
        if isinstance(layer, keras.layers.Embedding)
    ]
    count = min([256 if tensor.dtype == "uint8" else 2, *counts])
    return rng.integers(count, size=shape).astype(tensor.dtype)


def _run(network, batch):
    inputs = batch if len(batch) > 1 else batch[0]
    outputs = keras.tree.flatten(network(inputs, training=False))
    return [ops.convert_to_numpy(output).astype("float32") for output in outputs]


def _check_same(network, copy, batch, expected, fault):
    if _are_close(_run(copy, batch), expected):
        return
    raise ValueError(
        f"`network` cannot be copied: the copy {fault}"
        f"{_first_difference(network, copy, batch)}.\n{HOW_TO_FIX}"
    )


def _are_close(actual, expected):
    def is_close(one, other):
        finite = np.abs(other[np.isfinite(other)])
        tolerance = TOLERANCE * finite.max(initial=0.0)
        return np.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True)

    return all(map(is_close, actual, expected))


def _first_difference(network, copy, batch):
    """Returns text that names the first layer whose outputs differ, or `""`."""
    for layer, clone in zip(network.layers, copy.layers, strict=False):
        try:
            outputs = [
                _run(keras.Model(model.inputs, part.output), batch)
                for model, part in ((network, layer), (copy, clone))
                if layer is not clone
            ]
        except (AttributeError, ValueError):
            continue
        if outputs and not _are_close(*outputs):
            return f", from layer {layer.name!r} ({type(layer).__name__}) on"
    return ""
