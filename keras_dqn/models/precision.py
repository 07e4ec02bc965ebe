"""Copies of a network that compute in float32 or float16, or are quantized to int8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_dqn import checks
from keras_dqn.models import derived_state
from keras_dqn.models import low_rank
from keras_dqn.models.checking import leaf_layers
from keras_dqn.models.layer_tree import is_layer

PRECISIONS = ("float32", "float16", "int8")
_MIXED = ("mixed_bfloat16", "mixed_float16")


def with_precision(network: keras.Model, precision: str) -> keras.Model:
    """Returns a network with the same weights in another precision.

    Args:
        network: Functional or Sequential `keras.Model`.
        precision: `"float32"`: layers with mixed precision compute in float32.
            `"float16"`: all layers with weights, and the outputs, are float16.
            `"int8"`: `keras.Model.quantize("int8")` of a copy: dense and similar layers
            have int8 weights; the outputs stay float32.

    Returns:
        `keras.Model`: the network itself if nothing changes, otherwise a copy.

    Raises:
        ValueError: If there is no such precision.
    """
    checks.choice("precision", precision, PRECISIONS)
    if precision == "float16":
        return _copy(network, lambda layer: bool(layer.weights), "float16")
    if any(map(_is_mixed, leaf_layers(network))):
        network = _copy(network, _is_mixed, "float32")
    if precision == "int8":
        network = _copy(network, lambda layer: False, "float32")
        network.quantize("int8")
    return network


def _is_mixed(layer):
    return is_layer(layer) and layer.dtype_policy.name in _MIXED


def _copy(network: keras.Model, changes: Callable[[Any], bool], dtype: str) -> Any:
    """Returns a copy in which the layers that `changes` names have another dtype."""

    def copy_of(layer):
        config = layer.get_config()
        if is_layer(layer) and changes(layer):
            config["dtype"] = dtype
            for name in config:
                # Some initializers cannot make float16. The weights are set below.
                if name.endswith("_initializer") and config[name] is not None:
                    config[name] = "zeros"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=copy_of, recursive=True)
    copy.set_weights(network.get_weights())
    low_rank.copy_scales(network, copy)
    derived_state.recompute(copy)
    return copy
