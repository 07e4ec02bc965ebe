"""Q-networks with a dueling head, as plain functional Keras models.

A Q-network maps an observation to one Q-value per action: the expected discounted
return after this action. A dueling network estimates the state value V(s)
and the advantages A(s, a) in two streams and adds them:

    Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a')

Without the mean, a constant could be added to V and subtracted from A without any
change of Q, so neither would be determined.

Only Keras layers and `keras.ops` are used: a saved model opens with Keras alone, on
any backend.

Reference:
    - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_dqn import checks

# `(filters, kernel size, stride)` of Mnih et al., 2015.
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
SMALLEST_IMAGE = 36  # smallest height and width in pixels for these convolutions
# Gains of the orthogonal initializers: for layers with ReLU (which halves the second
# moment), for the advantages (small, so that training starts with almost equal
# Q-values for all actions) and for the state value.
RELU_GAIN = float(np.sqrt(2.0))
ADVANTAGE_GAIN = 0.01
VALUE_GAIN = 1.0


def dueling_cnn(
    num_actions: int,
    input_shape: Sequence[int] = (84, 84, 4),
    hidden_units: int = 256,
    seed: int | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str = "dueling_cnn",
) -> keras.Model:
    """Returns the convolutional dueling network for stacked game frames.

    Three convolutions (Mnih et al., 2015), then the two streams of the head, each
    with one hidden layer. 1,685,413 parameters for 4 actions of Atari.

    Args:
        num_actions: Integer, at least 1.
        input_shape: `(height, width, frames)` of one observation in pixels, the
            oldest frame first.
        hidden_units: Integer, units of the hidden layer of each stream.
        seed: Integer that makes the initial weights reproducible on one backend,
            or `None`.
        dtype: Dtype or dtype policy of the layers, such as `"mixed_bfloat16"`.
            Default: that of Keras's configuration.
        name: String, the model's name.

    Returns:
        Functional `keras.Model`. Input: `(batch, *input_shape)`, uint8, pixels from
        0 to 255, which the model scales to [0, 1]. Output: Q-values,
        `(batch, num_actions)`, float32.

    Raises:
        ValueError: If `num_actions` is less than 1, or if `input_shape` is not
            `(height, width, frames)` with at least 36 by 36 pixels.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Model
          architecture".
        - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), section 4.2.
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    if len(input_shape) != 3 or min(input_shape[:2]) < SMALLEST_IMAGE:
        raise ValueError(
            "`input_shape` must be `(height, width, frames)`, height and width "
            f"at least {SMALLEST_IMAGE}. Received: input_shape={tuple(input_shape)}"
        )
    seeds = _Seeds(seed)
    observations = keras.Input(input_shape, dtype="uint8", name="observations")
    x = ops.cast(observations, "float32") / 255.0
    for number, (filters, kernel_size, stride) in enumerate(CONVOLUTIONS, start=1):
        x = layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            padding="valid",
            data_format="channels_last",
            activation="relu",
            kernel_initializer=_orthogonal(RELU_GAIN, seeds),
            dtype=dtype,
            name=f"conv{number}",
        )(x)
    features = layers.Flatten(data_format="channels_last", dtype=dtype, name="flatten")(
        x
    )
    q_values = dueling_head(features, num_actions, hidden_units, seeds.next(), dtype)
    return keras.Model(observations, q_values, name=name)


def dueling_mlp(
    num_actions: int,
    observation_shape: Sequence[int],
    hidden_units: Sequence[int] = (128, 128),
    seed: int | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str = "dueling_mlp",
) -> keras.Model:
    """Returns a dueling network of dense layers, for vectors of features.

    Args:
        num_actions: Integer, at least 1.
        observation_shape: Shape of one observation, such as `(4,)`. Observations of
            more than one dimension are flattened.
        hidden_units: Integers, units of the hidden layers. The last number is for
            the hidden layer of each stream of the head, those before are for the
            layers that both streams share.
        seed: Integer that makes the initial weights reproducible on one backend,
            or `None`.
        dtype: Dtype or dtype policy of the layers, such as `"mixed_bfloat16"`.
            Default: that of Keras's configuration.
        name: String, the model's name.

    Returns:
        Functional `keras.Model`. Input: `(batch, *observation_shape)`, float32.
        Output: Q-values, `(batch, num_actions)`, float32.

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
        x = layers.Flatten(data_format="channels_last", dtype=dtype, name="flatten")(x)
    for number, units in enumerate(hidden_units[:-1], start=1):
        x = layers.Dense(
            units,
            activation="relu",
            kernel_initializer=_orthogonal(RELU_GAIN, seeds),
            dtype=dtype,
            name=f"dense{number}",
        )(x)
    q_values = dueling_head(x, num_actions, hidden_units[-1], seeds.next(), dtype)
    return keras.Model(observations, q_values, name=name)


def dueling_head(
    features: keras.KerasTensor,
    num_actions: int,
    hidden_units: int = 256,
    seed: int | None = None,
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.KerasTensor:
    """Returns the Q-values of a dueling head on features of your own network.

    Args:
        features: Symbolic tensor of a functional model, `(batch, features)`, float.
        num_actions: Integer, at least 1.
        hidden_units: Integer, units of the hidden layer of each stream.
        seed: Integer that makes the initial weights reproducible on one backend,
            or `None`.
        dtype: Dtype or dtype policy of the hidden layers. The outputs are always
            float32. Default: that of Keras's configuration.

    Returns:
        Symbolic tensor, Q-values, `(batch, num_actions)`, float32.

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
            dtype=dtype,
            name=f"{name}_hidden",
        )(features)
        # float32 also under mixed precision: bfloat16 rounds a Q-value of 100 to
        # steps of 0.5, which is as large as a reward.
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
    """Returns a different seed for each kernel.

    With one seed for all, kernels of equal shape would start with equal weights.
    """

    def __init__(self, seed):
        self._sequence = None if seed is None else np.random.SeedSequence(seed)

    def next(self):
        if self._sequence is None:
            return None
        (child,) = self._sequence.spawn(1)
        return int(child.generate_state(1)[0] >> 1)
