"""Tensors that layers compute from their variables.

`Normalization` computes them when it is adapted and when its weights are loaded. Its
forward pass uses the tensors, not the variables, and compiled functions hold them as
constants. After the variables were set in any other way, call `recompute`.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_dqn.models.layer_tree import sublayers


def layers_of(network: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers of a network that hold such tensors."""
    return [each for each in sublayers(network) if hasattr(each, "finalize_state")]


def tensors_of(network_layers: list[keras.layers.Layer]) -> list:
    """Returns the tensors that these layers hold. `recompute` replaces the objects."""
    values = (value for layer in network_layers for value in vars(layer).values())
    return [value for value in values if ops.is_tensor(value)]


def recompute(*networks: keras.Model) -> None:
    """Recomputes the tensors from the variables."""
    for network in networks:
        for layer in layers_of(network):
            layer.finalize_state()


def are_equal(network: keras.Model, other: keras.Model) -> bool:
    """Whether two networks of the same structure hold equal derived tensors."""
    pairs = zip(
        *(tensors_of(layers_of(each)) for each in (network, other)), strict=True
    )
    return all(np.array_equal(*map(ops.convert_to_numpy, pair)) for pair in pairs)
