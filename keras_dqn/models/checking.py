"""What a network must be to be trained, and what makes no sense in one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras

BOUNDED = ("softmax", "sigmoid", "tanh", "relu", "softplus", "hard_sigmoid")


def check_network(network: object) -> None:
    """Refuses a network that cannot be trained here, saying why.

    Args:
        network: Any object.

    Raises:
        TypeError: If it is not a functional or Sequential `keras.Model`.
        ValueError: If its inputs, outputs or state do not fit.
    """
    if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
        raise TypeError(
            "`network` must be a functional or a built Sequential `keras.Model`; "
            "a subclassed one becomes functional by "
            "`keras.Model(inputs, subclassed(inputs))`. "
            f"Received: network={network!r}"
        )
    shape = network.output_shape
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            "`network` must have one input and one output. Received: "
            f"{len(network.inputs)} inputs, {len(network.outputs)} outputs"
        )
    output = getattr(network, "output", None)  # a Sequential model has none
    if isinstance(output, dict | list | tuple):
        raise ValueError(
            "`network` must put out a tensor by itself; make such a network with "
            "`keras.Model(network.inputs, network.outputs[0])`. Received: an output "
            f"of type {type(output).__name__}"
        )
    if len(shape) != 2 or shape[-1] is None:
        raise ValueError(
            "`network` must have an output of shape `(batch, actions)`. "
            f"Received: network.output_shape={shape}"
        )
    if not network.trainable_variables:
        raise ValueError("`network` must have trainable variables. Received: none")
    _refuse_gradient_overwrites(network)
    _refuse_stateful_recurrence(network)
    _warn_of_senseless_layers(network)


def check_fits(network: keras.Model, envs: Any) -> None:
    """Refuses a network whose input or output does not fit the environments.

    Raises:
        ValueError: With both shapes or both counts.
    """
    expected = tuple(network.input_shape[1:])
    if expected != tuple(envs.observation_shape):
        raise ValueError(
            "`network` must take the observations of the environments, of shape "
            f"{tuple(envs.observation_shape)} ({envs.env_id}). Received: "
            f"network.input_shape={network.input_shape}"
        )
    if network.output_shape[-1] != envs.num_actions:
        raise ValueError(
            f"`network` must have one output for each of the {envs.num_actions} "
            f"actions of {envs.env_id}. Received: "
            f"network.output_shape={network.output_shape}"
        )


def leaf_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yields the layers in a model that have no layers themselves."""
    children = getattr(layer, "layers", None)
    if not children:
        yield layer
        return
    for child in children:
        yield from leaf_layers(child)


def _refuse_gradient_overwrites(network):
    """Float8 scales are set to their "gradients", which a target cannot follow."""
    names = [
        variable.path
        for variable in network.trainable_variables
        if getattr(variable, "overwrite_with_gradient", False)
    ]
    if names:
        raise ValueError(
            "`network` must not be quantized to float8, whose scales no optimizer "
            f"trains; train it before `quantize`. Received: variables {names}"
        )


def _refuse_stateful_recurrence(network):
    """Such a state has the batch size of acting or of a minibatch, not both."""
    for layer in leaf_layers(network):
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise ValueError(
                f"`network` must not carry the state of its layer {layer.name!r} from "
                "batch to batch: a replay's minibatches do not follow each other. Use "
                "`stateful=False` and stacked observations. Received: stateful=True"
            )


def _warn_of_senseless_layers(network):
    """Warns of what trains without an error, but not towards Q-values."""
    last = network.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation in BOUNDED:
        warnings.warn(
            f"The output layer `{last.name}` has the activation {activation!r}. "
            "Q-values are returns, which have no bounds: use no activation.",
            stacklevel=4,
        )
