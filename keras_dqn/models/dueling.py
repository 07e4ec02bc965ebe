"""Q-networks with a dueling head, as plain functional Keras models.

A Q-network maps an observation to one number per action: how much discounted
reward the agent expects after taking it. A dueling network estimates the worth
of the situation, V(s), apart from the advantage of each action, A(s, a), and
adds them up:

    Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a')

Without the mean, a constant could move freely between V and A, and neither
would mean anything.

Stock layers and `keras.ops` only: a model saved here opens with Keras alone, on
any backend.

Reference:
    - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_dqn import checks

# Gains of the orthogonal kernels: ReLU layers, the advantages (small, so that
# training starts with almost equal Q-values) and the state value.
RELU_GAIN = float(np.sqrt(2.0))
ADVANTAGE_GAIN = 0.01
VALUE_GAIN = 1.0


def dueling_cnn(
    num_actions: int,
    input_shape: Sequence[int] = (84, 84, 4),
    hidden_units: int = 256,
    seed: int | None = None,
    name: str = "dueling_cnn",
) -> keras.Model:
    """Returns the convolutional dueling network for stacked game frames.

    Three convolutions (Mnih et al., 2015), then one hidden layer for the
    advantages and another for the value, both straight from the flattened
    features. 1,685,413 parameters for 4 actions.

    Args:
        num_actions: Integer, at least 1.
        input_shape: `(height, width, frames)` of one observation, channels
            last, oldest frame first.
        hidden_units: Integer, units in each of the two hidden layers.
        seed: Integer that fixes the initial weights on a given backend, or
            `None`.
        name: String, the model's name.

    Returns:
        A functional `keras.Model`. Input: `uint8 (batch, *input_shape)`, pixels
        from 0 to 255, scaled to [0, 1] inside. Output: `float32
        (batch, num_actions)`.

    Raises:
        ValueError: If `num_actions` is less than 1, or if `input_shape` does
            not have three dimensions that the convolutions fit into.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Model
          architecture".
        - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), section 4.2.
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    if len(input_shape) != 3 or min(input_shape[:2]) < 36:
        raise ValueError(
            "`input_shape` must be `(height, width, frames)`, height and width "
            f"at least 36. Received: input_shape={tuple(input_shape)}"
        )
    seeds = _Seeds(seed)
    observations = keras.Input(input_shape, dtype="uint8", name="observations")
    x = ops.cast(observations, "float32") / 255.0
    for number, (filters, kernel, stride) in enumerate(
        [(32, 8, 4), (64, 4, 2), (64, 3, 1)], start=1
    ):
        x = layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="valid",
            data_format="channels_last",
            activation="relu",
            kernel_initializer=_orthogonal(RELU_GAIN, seeds),
            name=f"conv{number}",
        )(x)
    features = layers.Flatten(data_format="channels_last", name="flatten")(x)
    q_values = dueling_head(features, num_actions, hidden_units, seed=seeds.next())
    return keras.Model(observations, q_values, name=name)


def dueling_mlp(
    num_actions: int,
    observation_shape: Sequence[int],
    hidden_units: Sequence[int] = (128, 128),
    seed: int | None = None,
    name: str = "dueling_mlp",
) -> keras.Model:
    """Returns a dueling network of dense layers, for vectors of features.

    Args:
        num_actions: Integer, at least 1.
        observation_shape: Shape of one observation, as in `(4,)`. More than
            one dimension is flattened.
        hidden_units: Integers: the units of the shared layers, and last those
            of the two hidden layers of the head.
        seed: Integer that fixes the initial weights on a given backend, or
            `None`.
        name: String, the model's name.

    Returns:
        A functional `keras.Model`. Input: `float32 (batch,
        *observation_shape)`. Output: `float32 (batch, num_actions)`.

    Raises:
        ValueError: If `num_actions` is less than 1, or `hidden_units` is empty
            or a single number.
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    if np.ndim(hidden_units) != 1 or len(hidden_units) == 0:
        raise ValueError(
            "`hidden_units` must be a sequence with at least one integer. "
            f"Received: hidden_units={hidden_units}"
        )
    seeds = _Seeds(seed)
    observations = keras.Input(observation_shape, dtype="float32", name="observations")
    x = observations
    if len(observation_shape) != 1:
        x = layers.Flatten(data_format="channels_last", name="flatten")(x)
    for number, units in enumerate(hidden_units[:-1], start=1):
        x = layers.Dense(
            units,
            activation="relu",
            kernel_initializer=_orthogonal(RELU_GAIN, seeds),
            name=f"dense{number}",
        )(x)
    q_values = dueling_head(x, num_actions, hidden_units[-1], seed=seeds.next())
    return keras.Model(observations, q_values, name=name)


def dueling_head(
    features: Any, num_actions: int, hidden_units: int = 256, seed: int | None = None
) -> Any:
    """Puts a dueling head on a body of the caller's own.

    Args:
        features: Symbolic tensor of a functional model, float, shape
            `(batch, features)`.
        num_actions: Integer, at least 1.
        hidden_units: Integer, units of the hidden layer of each stream.
        seed: Integer that fixes the initial weights on a given backend, or
            `None`.

    Returns:
        Symbolic tensor, `float32 (batch, num_actions)`:
        V + A - mean(A).

    Raises:
        ValueError: If `features` is not `(batch, features)` or `num_actions`
            is less than 1.

    Example:

    >>> inputs = keras.Input((8,))
    >>> q_values = dueling_head(layers.Dense(16)(inputs), num_actions=3)
    >>> keras.Model(inputs, q_values).output_shape
    (None, 3)

    Reference:
        - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), equation 9.
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    if len(features.shape) != 2:
        raise ValueError(
            "`features` must have shape `(batch, features)`. "
            f"Received: features.shape={tuple(features.shape)}"
        )
    seeds = _Seeds(seed)

    def stream(name, output_name, units, gain):
        hidden = layers.Dense(
            hidden_units,
            activation="relu",
            kernel_initializer=_orthogonal(RELU_GAIN, seeds),
            name=f"{name}_hidden",
        )(features)
        # float32 whatever the policy: Q-values of 100 in bfloat16 are only good
        # to 0.5, which is as large as the rewards.
        return layers.Dense(
            units,
            kernel_initializer=_orthogonal(gain, seeds),
            dtype="float32",
            name=f"{name}_{output_name}",
        )(hidden)

    advantages = stream("advantage", "scores", num_actions, ADVANTAGE_GAIN)
    value = stream("value", "score", 1, VALUE_GAIN)
    return value + advantages - ops.mean(advantages, axis=-1, keepdims=True)


def _orthogonal(gain, seeds):
    return keras.initializers.Orthogonal(gain=gain, seed=seeds.next())


class _Seeds:
    """Hands out one seed per kernel: equal seeds make equal-shaped twins equal."""

    def __init__(self, seed):
        self._sequence = None if seed is None else np.random.SeedSequence(seed)

    def next(self):
        if self._sequence is None:
            return None
        (child,) = self._sequence.spawn(1)
        return int(child.generate_state(1)[0] >> 1)
