"""Checks that a network can be trained, and that it fits the environments."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras

from keras_dqn import checks
from keras_dqn.models import low_rank
from keras_dqn.models.single_input import has_single_input

BOUNDED_ACTIVATIONS = ("softmax", "sigmoid", "tanh", "relu", "softplus", "hard_sigmoid")


def check_given(network: object) -> None:
    """Raises an error unless an agent can be made of `network`.

    Networks that have several inputs, or none before they are called, are checked once
    the observations are known, see `single_input`.

    Args:
        network: Any object.

    Raises:
        TypeError: If it is not a `keras.Model`.
        ValueError: See `check_network`.
    """
    if not isinstance(network, keras.Model):
        rule = "a `keras.Model`"
        raise checks.wrong_kind("network", rule, network, "keras.Model(inputs, q)")
    if has_single_input(network):
        check_network(network)


def check_network(network: object) -> None:
    """Raises an error unless `network` can be trained by a `DQN`.

    Args:
        network: Any object.

    Raises:
        TypeError: If it is not a functional or Sequential `keras.Model`.
        ValueError: If its inputs, outputs, variables or layers are not suitable.
    """
    if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
        raise TypeError(
            "`network` must be a functional or a built Sequential `keras.Model`. "
            "Make a functional model of a subclassed one with "
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
            "`network` must return a tensor that is not inside a container; write "
            "`keras.Model(network.inputs, network.outputs[0])`. Received: an output "
            f"of type {type(output).__name__}"
        )
    if len(shape) not in (2, 3) or None in shape[1:]:
        raise ValueError(
            "`network` must have an output of shape `(batch, actions)`, or `(batch, "
            f"actions, K)`. Received: network.output_shape={shape}"
        )
    if not network.trainable_variables:
        raise ValueError("`network` must have trainable variables. Received: none")
    _refuse_gradient_overwrites(network)
    _refuse_stateful_recurrence(network)
    _warn_about_output_activation(network)
    low_rank.warn_if_zero(network)


def check_fits(network: keras.Model, envs: Any) -> None:
    """Raises an error unless the network fits the environments.

    Args:
        network: `keras.Model`, see `check_network`.
        envs: `VectorEnvs`.

    Raises:
        ValueError: If the input is not of the shape of the observations, or if the
            number of outputs is not that of the actions.
    """
    expected = tuple(network.input_shape[1:])
    if expected != tuple(envs.observation_shape):
        raise ValueError(
            "`network` must take the observations of the environments, of shape "
            f"{tuple(envs.observation_shape)} ({envs.env_id}). Received: "
            f"network.input_shape={network.input_shape}"
        )
    if network.output_shape[1] != envs.num_actions:
        raise ValueError(
            f"`network` must have one output for each of the {envs.num_actions} "
            f"actions of {envs.env_id}. Received: "
            f"network.output_shape={network.output_shape}"
        )


def check_kept(network: keras.Model, variables: Iterable[keras.Variable]) -> None:
    """Raises an error if the network has got other variables in training.

    Args:
        network: `keras.Model`.
        variables: All its variables when training began.

    Raises:
        ValueError: If there are new ones. Targets and optimizer do not know these.
    """
    known = set(map(id, variables))
    new = [each.path for each in network.variables if id(each) not in known]
    if new:
        raise ValueError(
            "`network` must keep the variables that it had when training began. After "
            "`enable_lora` or `quantize`, call `compile` with a new optimizer. "
            f"Received: new variables {new}"
        )


def leaf_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model, and of models inside it, that are not models."""
    children = getattr(layer, "layers", None)
    if not children:
        yield layer
        return
    for child in children:
        yield from leaf_layers(child)


def _refuse_gradient_overwrites(network):
    """Raises `ValueError` for float8 scales, whose "gradients" are new values."""
    names = [
        variable.path
        for variable in network.trainable_variables
        if getattr(variable, "overwrite_with_gradient", False)
    ]
    if names:
        raise ValueError(
            "`network` must not be quantized to float8, because an optimizer cannot "
            "train the scales. Train the network first, then call `quantize`. "
            f"Received: variables {names}"
        )


def _refuse_stateful_recurrence(network):
    """Raises `ValueError` for layers that carry a state from batch to batch."""
    for layer in leaf_layers(network):
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise ValueError(
                f"`network` must not carry the state of its layer {layer.name!r} from "
                "batch to batch, because minibatches are independent samples. Use "
                "`stateful=False` and stacked observations. Received: stateful=True"
            )


def _warn_about_output_activation(network):
    """Warns if the outputs cannot take all values that Q-values can have."""
    last = network.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation in BOUNDED_ACTIVATIONS:
        warnings.warn(
            f"The output layer `{last.name}` has the activation {activation!r}, which "
            "limits its outputs. Q-values can be any number: use no activation.",
            stacklevel=4,
        )
