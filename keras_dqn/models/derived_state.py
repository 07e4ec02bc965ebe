"""Tensors that layers compute from their variables when these are set.

`Normalization` does so when it is adapted and when its weights are loaded. A forward
pass uses the tensors and not the variables, and a compiled function holds them as
constants: whoever sets the variables in another way has to recompute them.
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
    """Returns the tensors that these layers hold now. A new one is another object."""
    values = (value for layer in network_layers for value in vars(layer).values())
    return [value for value in values if ops.is_tensor(value)]


def recompute(*networks: keras.Model) -> None:
    """Recomputes the tensors from the variables."""
    for network in networks:
        for layer in layers_of(network):
            layer.finalize_state()


def are_equal(network: keras.Model, other: keras.Model) -> bool:
    """Returns whether two networks of one structure hold the same numbers."""
    pairs = zip(
        *(tensors_of(layers_of(each)) for each in (network, other)), strict=True
    )
    return all(np.array_equal(*map(ops.convert_to_numpy, pair)) for pair in pairs)
