"""Forward passes that change no Keras variable: what they would change is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


class ForwardPass:
    """A forward pass of a network on given values of its variables.

    Layers may assign to variables while they are called: statistics, seeds, and
    `SpectralNormalization` even to a kernel. In here they assign to the pass.

    Args:
        network: `keras.Model`.
        values: Pairs of a Keras variable and the tensor that stands for it. Others have
            their own values.
        training: Boolean, as of a Keras layer.

    Attributes:
        losses: The layers' own losses in the call: regularizers and `add_loss`.
        changed: Dictionary from `id(variable)` to the tensor that the call gave it.
    """

    def __init__(
        self,
        network: keras.Model,
        values: Iterable[tuple[keras.Variable, Any]] = (),
        training: bool = False,
    ) -> None:
        given = {id(variable): value for variable, value in values}
        # All of them: in Keras's scope a regularizer sees no others. Within `fit` on
        # JAX a variable has no value of its own, so only what is missing is read.
        self._values = [
            (variable, given[id(variable)] if id(variable) in given else variable.value)
            for variable in network.variables
        ]
        self._network = network
        self._training = training
        self.losses: list = []
        self.changed: dict[int, Any] = {}

    def __call__(self, observations: Any) -> Any:
        """Returns the network's outputs. Only the last call is remembered."""
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
