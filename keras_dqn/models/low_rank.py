"""LoRA (`enable_lora`): what Keras loses when it rebuilds or loads a layer.

A layer with LoRA adds `lora_alpha / rank * a @ b` to its frozen kernel. Some of Keras's
layers forget `lora_alpha` when they are built from a configuration. A `.keras` file
holds the merged kernel, and a loaded layer gets zeros for `a` and `b`. Then both
gradients are zero, because each is a product with the other factor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dqn.models.layer_tree import pairs_of
from keras_dqn.models.layer_tree import sublayers


def copy_scales(network: keras.Model, copy: keras.Model) -> None:
    """Sets each `lora_alpha` of a copy to that of the network."""
    for original, layer in pairs_of(network, copy):
        if getattr(original, "lora_enabled", False):
            layer.lora_alpha = original.lora_alpha


def restore(network: keras.Model, config: Any) -> None:
    """Makes a loaded network learn as the saved one. Its outputs stay the same.

    Args:
        network: `keras.Model` that was loaded from a file.
        config: The configuration in that file.

    Raises:
        ValueError: If layers with the same name have different `lora_alpha`.
    """
    alphas: dict[Any, set] = {}
    for each in _configs_in(config):
        alphas.setdefault(each.get("name"), set()).add(each["lora_alpha"])
    for number, layer in enumerate(_layers_of(network)):
        found = alphas.get(layer.name, {layer.lora_alpha})
        if len(found) != 1:
            raise ValueError(
                f"Layers with the name {layer.name!r} must have one `lora_alpha`, or "
                "each its own name. Load it with `keras.saving.load_model` and set "
                f"`layer.lora_alpha`. Received: {sorted(found)}"
            )
        (layer.lora_alpha,) = found
        if _is_zero(layer):
            first, _ = _factors_of(layer)
            first.assign(keras.initializers.HeUniform(seed=number)(first.shape))


def warn_if_zero(network: keras.Model) -> None:
    """Warns of layers whose low-rank weights are all zero, and cannot learn."""
    names = [layer.name for layer in _layers_of(network) if _is_zero(layer)]
    if names:
        warnings.warn(
            f"The LoRA weights of the layers {names} are all zero, as after "
            "`keras.saving.load_model`, so that they cannot learn. Load the file with "
            "`keras_dqn.load_network`, or assign random numbers to `lora_kernel_a`.",
            stacklevel=4,
        )


def _layers_of(network):
    return [each for each in sublayers(network) if getattr(each, "lora_enabled", False)]


def _factors_of(layer):
    """Returns the variables `a` and `b`, whose names depend on the layer."""
    found = [each for each in layer.variables if each.name.startswith("lora_")]
    return sorted(found, key=lambda variable: variable.name)


def _is_zero(layer):
    return not any(
        np.any(ops.convert_to_numpy(each.value)) for each in _factors_of(layer)
    )


def _configs_in(value: Any) -> Iterator[dict]:
    """Yields the configurations of layers with LoRA."""
    if isinstance(value, dict):
        if isinstance(value.get("lora_alpha"), int | float):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _configs_in(item)
