"""The last layers of a Q-network: from features to the outputs for each action.

A dueling head estimates the state value V(s) and the advantages A(s, a) in two streams
and adds them:

    Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a')

Without the mean, a constant could be added to V and subtracted from A without any
change of Q, so neither would be determined. If the outputs are distributions of K
numbers for each action, V has K numbers, and the mean is over actions, for each of the
K by itself.

Reference:
    - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), section 3.
"""

from __future__ import annotations

import keras
from keras import layers
from keras import ops

from keras_dqn import checks
from keras_dqn.models.seeds import RELU_GAIN
from keras_dqn.models.seeds import Seeds
from keras_dqn.models.seeds import orthogonal

# Gains of the orthogonal initializers for the advantages (small, so that training
# starts with almost equal Q-values for all actions) and for the state value.
ADVANTAGE_GAIN = 0.01
VALUE_GAIN = 1.0


def dueling_head(
    features: keras.KerasTensor,
    num_actions: int,
    hidden_units: int = 256,
    seed: int | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    outputs_per_action: int | None = None,
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
        outputs_per_action: Integer, how many numbers the distribution of a return has,
            see `algorithms.distributions`. `None`: the outputs are Q-values.

    Returns:
        Symbolic tensor, Q-values, `(batch, num_actions)`, float32; or
        `(batch, num_actions, outputs_per_action)`.

    Raises:
        ValueError: If `features` is not `(batch, features)` or a number is less
            than 1.

    Example:

    >>> inputs = keras.Input((8,))
    >>> q_values = dueling_head(layers.Dense(16)(inputs), num_actions=3)
    >>> keras.Model(inputs, q_values).output_shape
    (None, 3)

    Reference:
        - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), equation 9.
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    _check(features, outputs_per_action)
    seeds = Seeds(seed)

    def stream(name, output_name, rows, gain):
        units = (hidden_units, rows * (outputs_per_action or 1))
        names = (f"{name}_hidden", f"{name}_{output_name}")
        x = _two_layers(features, units, names, gain, seeds, dtype)
        return _reshaped(x, rows, outputs_per_action, name)

    advantages = stream("advantage", "scores", num_actions, ADVANTAGE_GAIN)
    value = stream("value", "score", 1, VALUE_GAIN)
    return value + advantages - ops.mean(advantages, axis=1, keepdims=True)


def plain_head(
    features: keras.KerasTensor,
    num_actions: int,
    hidden_units: int = 256,
    seed: int | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    outputs_per_action: int | None = None,
) -> keras.KerasTensor:
    """Returns the outputs of a head of one stream, not dueling.

    Args:
        features, num_actions, hidden_units, seed, dtype, outputs_per_action: See
            `dueling_head`.

    Returns:
        See `dueling_head`.

    Raises:
        ValueError: See `dueling_head`.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Model
          architecture".
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    _check(features, outputs_per_action)
    units = (hidden_units, num_actions * (outputs_per_action or 1))
    names = ("q_hidden", "q_scores")
    x = _two_layers(features, units, names, ADVANTAGE_GAIN, Seeds(seed), dtype)
    return _reshaped(x, num_actions, outputs_per_action, "q")


def _check(features, outputs_per_action):
    if outputs_per_action is not None:
        checks.integer("outputs_per_action", outputs_per_action, minimum=1)
    if len(features.shape) != 2:
        raise ValueError(
            "`features` must have shape `(batch, features)`. "
            f"Received: features.shape={tuple(features.shape)}"
        )


def _two_layers(features, units, names, gain, seeds, dtype):
    hidden = layers.Dense(
        units[0],
        activation="relu",
        kernel_initializer=orthogonal(RELU_GAIN, seeds),
        dtype=dtype,
        name=names[0],
    )(features)
    # float32 also under mixed precision: bfloat16 rounds a Q-value of 100 to steps of
    # 0.5, which is as large as a reward.
    return layers.Dense(
        units[1],
        kernel_initializer=orthogonal(gain, seeds),
        dtype="float32",
        name=names[1],
    )(hidden)


def _reshaped(x, rows, outputs_per_action, name):
    if outputs_per_action is None:
        return x
    shape = (rows, outputs_per_action)
    return layers.Reshape(shape, dtype="float32", name=f"{name}_reshape")(x)
