"""Forward passes that record changes of variables instead of applying them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


class ForwardPass:
    """A forward pass of a network with given values of its variables.

    Some layers assign to variables when they are called: to statistics, random seeds,
    or, as `SpectralNormalization`, to a kernel. In a pass these new values are
    recorded in `changed`, and the variables keep their values.

    Args:
        network: `keras.Model`.
        values: Pairs of a Keras variable and a tensor to use as its value. All other
            variables keep their values.
        training: Boolean, see `keras.layers.Layer.__call__`.

    Attributes:
        losses: The layers' losses in the last call: regularizers and `add_loss`.
        changed: Dictionary from `id(variable)` to its new value in the last call.
    """

    def __init__(
        self,
        network: keras.Model,
        values: Iterable[tuple[keras.Variable, Any]] = (),
        training: bool = False,
    ) -> None:
        given = {id(variable): value for variable, value in values}
        # All variables are passed, since in a `StatelessScope` regularizers see no
        # others. `variable.value` is only read for variables that are not in `given`:
        # within `fit` on JAX it does not exist.
        self._values = [
            (variable, given[id(variable)] if id(variable) in given else variable.value)
            for variable in network.variables
        ]
        self._network = network
        self._training = training
        self.losses: list = []
        self.changed: dict[int, Any] = {}

    def __call__(self, observations: Any) -> Any:
        """Returns the network's outputs. Sets `losses` and `changed`."""
        variables = self._network.variables
        with keras.StatelessScope(self._values, collect_losses=True) as scope:
            before = [scope.get_current_value(variable) for variable in variables]
            outputs = self._call(observations)
            self.losses = self._network.losses
            after = [scope.get_current_value(variable) for variable in variables]
        self.changed = {
            id(variable): new
            for variable, old, new in zip(variables, before, after, strict=True)
            if new is not old
        }
        return outputs

    def _call(self, observations):
        return self._network(observations, training=self._training)
