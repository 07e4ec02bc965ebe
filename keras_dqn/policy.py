"""`Policy`: chooses actions by the Q-values of a network."""

from __future__ import annotations

from typing import Any
from typing import Protocol

import keras
import numpy as np

from keras_dqn import checks
from keras_dqn.backend import QFunction
from keras_dqn.exploration import epsilon_greedy
from keras_dqn.models.single_input import Observation
from keras_dqn.models.single_input import as_vector
from keras_dqn.models.single_input import parts_of
from keras_dqn.models.single_input import single_input
from keras_dqn.models.single_input import size_of


class HasNetwork(Protocol):
    """An agent, or anything else with an up-to-date network."""

    @property
    def q_network(self) -> keras.Model: ...


class Policy:
    """Chooses actions epsilon-greedily. It needs no environment and no agent.

    ```python
    policy = keras_dqn.Policy(keras_dqn.load_network("breakout.keras"))
    action = policy(frames)  # (84, 84, 4): one observation, one action
    ```

    Args:
        network: Functional or Sequential `keras.Model` with an output
            `(batch, actions)`, or an agent, whose current weights are used.
        epsilon: Float from 0 to 1, probability of a random action. It can be changed
            between calls.
        seed: Integer, at least 0, of the random actions. `None`: another one each
            time.

    Attributes:
        epsilon: See above.

    Raises:
        TypeError: If `network` is neither a `keras.Model` nor an agent.
        ValueError: If it has other inputs or outputs, or an argument is out of range.
    """

    def __init__(
        self,
        network: keras.Model | HasNetwork,
        epsilon: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self._source = network
        _check(self.network)
        self.epsilon = checks.probability("epsilon", epsilon)
        if seed is not None:
            checks.integer("seed", seed, minimum=0)
        self._rng = np.random.default_rng(seed)
        observation = _observation(network, self.network)
        self._parts = observation.parts
        self._single_input = single_input(self.network, observation)
        self._q_function = QFunction(self._single_input, _same, _same)

    @property
    def network(self) -> keras.Model:
        """The network, with up-to-date variables. Its outputs are Q-values."""
        return getattr(self._source, "q_network", self._source)

    def __call__(self, observations: Any) -> int | np.ndarray:
        """Returns an action for each observation.

        Args:
            observations: Array: one observation, or a batch `(n, *observation)`, laid
                out as the network takes it. For Atari: `(84, 84, 4)` uint8, oldest
                frame first. For several inputs: a dictionary of arrays by name, or a
                list of them.

        Returns:
            Integer for one observation, int64 array `(n,)` for a batch: numbers from
            0 to `actions - 1`.

        Raises:
            ValueError: If the shape or the dtype is wrong.
            FloatingPointError: If a Q-value is not finite.
        """
        batch, is_single = self._as_batch(observations)
        actions = epsilon_greedy(self._q_function(batch), self.epsilon, self._rng)
        return int(actions[0]) if is_single else actions

    def q_values(self, observations: Any) -> np.ndarray:
        """Returns the Q-values.

        Args:
            observations: See `__call__`. Each batch size is compiled once.

        Returns:
            Float32 array, `(actions,)` for one observation, `(n, actions)` for a batch.

        Raises:
            ValueError: If the shape or the dtype is wrong.
        """
        batch, is_single = self._as_batch(observations)
        q_values = self._q_function(batch)
        return q_values[0] if is_single else q_values

    def _as_batch(self, observations):
        """Returns a batch of the input's dtype, and whether it is one observation."""
        _ = self.network  # an agent brings its network up to date here
        if self._parts is not None and not isinstance(observations, np.ndarray):
            return as_vector(observations, self._parts)
        tensor = self._single_input.inputs[0]
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        given = np.asarray(observations)
        is_single = given.ndim == len(tensor.shape) - 1
        batch = given[None] if is_single else given
        pairs = zip(tensor.shape[1:], batch.shape[1:], strict=False)
        if batch.ndim != len(tensor.shape) or any(a not in (None, b) for a, b in pairs):
            raise ValueError(
                "`observations` must be one observation or a batch of the network's "
                f"input_shape={tuple(tensor.shape)}. Received: shape {given.shape}"
            )
        converted = batch if dtype == "bfloat16" else batch.astype(dtype)
        if dtype.startswith(("int", "uint")) and not np.array_equal(converted, batch):
            raise ValueError(
                f"`observations` must have values of {dtype}, which the network takes. "
                f"Received: {given.dtype} from {given.min()} to {given.max()}"
            )
        return converted, is_single


def _check(network):
    if not isinstance(network, keras.Model):
        rule, instead = (
            "a `keras.Model` or an agent",
            'keras_dqn.load_network("a.keras")',
        )
        raise checks.wrong_kind("network", rule, network, instead)


def _observation(source, network):
    """Returns the `Observation` of a network or an agent."""
    known = getattr(source, "observation", None)
    if isinstance(known, Observation):
        return known
    inputs = getattr(network, "inputs", None)  # a subclassed model has none
    outputs = network.outputs if inputs else []
    if not inputs or len(outputs) != 1 or outputs[0].ndim != 2:
        raise ValueError(
            "`network` must have inputs and one output of shape (batch, actions). Of "
            "a subclassed model, make `keras.Model(inputs, subclassed(inputs))`; an "
            "agent knows its inputs after `build` or `fit`. "
            f"Received: {network!r}"
        )
    if len(inputs) == 1:
        return Observation(tuple(inputs[0].shape[1:]), inputs[0].dtype, None)
    parts = parts_of(network)
    return Observation((size_of(parts),), "float32", parts)


def _same(tensor):
    return tensor
