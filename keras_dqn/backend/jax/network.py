"""JAX: a network as a pure function of the values of its variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np

from keras_dqn.backend.base import BaseQFunction
from keras_dqn.backend.jax.device import cpu_compiler_options
from keras_dqn.backend.passes import ForwardPass


class ArrayPass(ForwardPass):
    """A forward pass with arrays in place of all variables, which JAX can trace."""

    def __init__(
        self,
        network: keras.Model,
        trainable: Any,
        non_trainable: Any,
        training: bool = False,
    ) -> None:
        variables = (*network.trainable_variables, *network.non_trainable_variables)
        values = zip(variables, (*trainable, *non_trainable), strict=True)
        super().__init__(network, values, training)

    def _call(self, observations):
        return self._network.call(observations, training=self._training)


class QFunction(BaseQFunction):
    __doc__ = BaseQFunction.__doc__

    def _build(self):
        self.compiled = compiled(self._step, self.jit_compile)

    def _q_values(self, observations):
        return self.compiled(
            [v.value for v in self.network.trainable_variables],
            [v.value for v in self.network.non_trainable_variables],
            observations,
        )

    def _step(self, trainable, non_trainable, observations):
        self.trace_counts["q_values"] += 1
        observations = self._to_network_layout(observations)
        return self._to_q_values(
            ArrayPass(self.network, trainable, non_trainable)(observations)
        )


def merge(network: keras.Model, trainable: Any, non_trainable: Any) -> Any:
    """Returns both lists as one, in the order of `network.variables`."""
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    pairs = zip(variables, [*trainable, *non_trainable], strict=True)
    values = {id(variable): value for variable, value in pairs}
    return [values[id(variable)] for variable in network.variables]


def input_gradient(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function: the gradient of the largest Q-value by the observations.

    Args:
        network: `keras.Model` with a float input. Its weights must not change.

    Returns:
        Function of a float32 array `(n, *observation)` that returns one of the same
        shape.
    """

    def total(inputs):
        return network(inputs, training=False).max(axis=1).sum()

    gradient = jax.jit(jax.grad(total))
    return lambda observations: np.asarray(gradient(observations))


def compiled(
    function: Callable[..., Any], jit_compile: bool | str, **arguments: Any
) -> Callable[..., Any]:
    """Returns the compiled function, or `function` if `jit_compile` is false."""
    if jit_compile is False:
        return function
    options = cpu_compiler_options() if jax.default_backend() == "cpu" else {}
    return jax.jit(function, compiler_options=options, **arguments)
