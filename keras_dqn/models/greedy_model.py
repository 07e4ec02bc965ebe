"""`greedy`: a plain Keras model that returns actions."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


def greedy(network: keras.Model) -> keras.Model:
    """Returns a model of the same layers whose output is the greedy action.

    Args:
        network: Functional or Sequential `keras.Model` with one input and one output,
            the Q-values `(batch, num_actions)`.

    Returns:
        Functional `keras.Model`, which shares the layers. Output: int32, `(batch,)`,
        the lowest of the best actions.
    """
    # Not `ops.argmax` or `ops.top_k`: what they become exists in few runtimes.
    q_values = network.outputs[0]
    count = q_values.shape[-1]
    is_largest = q_values >= ops.max(q_values, axis=-1, keepdims=True)
    numbers = ops.where(is_largest, np.arange(count, dtype="float32"), float(count))
    actions = ops.cast(ops.min(numbers, axis=-1), "int32")  # the first of equals
    return keras.Model(network.inputs[0], actions, name=f"{network.name}_greedy")
