"""`greedy`: a plain Keras model that returns actions."""

from __future__ import annotations

import keras
from keras import ops


def greedy(network: keras.Model) -> keras.Model:
    """Returns a model of the same layers whose output is the greedy action.

    Args:
        network: Functional or Sequential `keras.Model` with one output, the Q-values
            `(batch, num_actions)`.

    Returns:
        Functional `keras.Model`, which shares the layers. Output: int32, `(batch,)`,
        the lowest of the best actions.
    """
    # Not `ops.argmax` or `ops.top_k`: what they become exists in few runtimes.
    q_values = network.outputs[0]
    best = ops.max(q_values, axis=-1, keepdims=True)
    found = ops.cumsum(ops.cast(q_values >= best, "float32"), axis=-1)
    # How many actions come before the first of the best.
    actions = ops.sum(ops.cast(found < 0.5, "int32"), axis=-1)
    inputs = network.inputs[0] if len(network.inputs) == 1 else network.input
    return keras.Model(inputs, actions, name=f"{network.name}_greedy")
