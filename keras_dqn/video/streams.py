"""What a network computes for one observation: Q-values, and the dueling streams."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from keras_dqn import backend
from keras_dqn.video.recording import Outputs

# The layers of `dueling_head` that end the streams.
VALUE_LAYER, ADVANTAGES_LAYER = "value_score", "advantage_scores"


def outputs_of(network: keras.Model) -> Callable[[np.ndarray], Outputs]:
    """Returns a function from observations to `Outputs`.

    Args:
        network: Q-network. The streams are those of the layers that
            `models.dueling_head` makes.

    Returns:
        Function of an array `(n, *observation)`, channels last.
    """
    names = {layer.name for layer in network.layers}
    if not {VALUE_LAYER, ADVANTAGES_LAYER} <= names:
        return lambda observations: Outputs(network.predict_on_batch(observations))
    streams = keras.Model(
        network.input,
        [
            network.output,
            network.get_layer(VALUE_LAYER).output,
            network.get_layer(ADVANTAGES_LAYER).output,
        ],
    )

    def outputs(observations):
        q_values, values, advantages = streams.predict_on_batch(observations)
        centered = advantages - advantages.mean(axis=1, keepdims=True)
        return Outputs(q_values, values[:, 0], centered)

    return outputs


def saliency_of(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function: how much the largest Q-value depends on each pixel.

    Args:
        network: Q-network.

    Returns:
        Function of one observation that returns a float32 array of its shape, the
        absolute value of the gradient.

    Raises:
        ValueError: If the network cannot be copied with a float input.

    Reference:
        - [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034), section 3.
    """
    gradient = backend.input_gradient(with_float_input(network))
    return lambda seen: np.abs(gradient(np.asarray(seen, np.float32)[None])[0])


def with_float_input(network: keras.Model) -> keras.Model:
    """Returns a copy of a network that takes float32 observations.

    Raises:
        ValueError: If it cannot be copied.
    """
    try:
        inputs = keras.Input(network.input_shape[1:], dtype="float32")
        copy = keras.models.clone_model(network, input_tensors=inputs)
        copy.set_weights(network.get_weights())
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            "The network has no saliency, since it cannot be copied with a float "
            f"input: {error}"
        ) from None
    return copy
