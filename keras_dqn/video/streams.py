"""What a network computes for one observation: Q-values, and the dueling streams."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

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
