"""TensorFlow: a network, compiled for acting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_dqn.backend.base import BaseQFunction
from keras_dqn.backend.passes import ForwardPass


class QFunction(BaseQFunction):
    __doc__ = BaseQFunction.__doc__

    def _build(self):
        self._compiled = compiled(self._step, self.jit_compile)

    def _q_values(self, observations):
        return self._compiled(tf.convert_to_tensor(observations))

    def _step(self, observations):
        self.trace_counts["q_values"] += 1
        observations = self._to_network_layout(observations)
        return self._to_q_values(ForwardPass(self.network)(observations))


def input_gradient(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function: the gradient of the largest Q-value by the observations.

    Args:
        network: `keras.Model` with a float input. Its weights must not change.

    Returns:
        Function of a float32 array `(n, *observation)` that returns one of the same
        shape.
    """

    @tf.function(autograph=False)
    def gradient(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            largest = tf.reduce_max(network(inputs, training=False), axis=1)
            total = tf.reduce_sum(largest)
        return tape.gradient(total, inputs)

    return lambda observations: gradient(tf.convert_to_tensor(observations)).numpy()


def compiled(
    function: Callable[..., Any], jit_compile: bool | str
) -> Callable[..., Any]:
    """Returns the function as a graph. `"auto"` uses XLA if there is a GPU."""
    # On a CPU, gradients of convolutions are slower with XLA.
    if jit_compile == "auto":
        jit_compile = bool(tf.config.list_physical_devices("GPU"))
    return tf.function(function, autograph=False, jit_compile=jit_compile)
