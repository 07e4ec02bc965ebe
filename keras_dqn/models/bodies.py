"""The first layers of a Q-network: from an observation to features.

`BODIES` has them by name. Each is a function of a symbolic float32 tensor, `Seeds`, the
width, and the dtype of its layers, that returns features `(batch, features)`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_dqn.models.seeds import RELU_GAIN
from keras_dqn.models.seeds import Seeds
from keras_dqn.models.seeds import orthogonal

# `(filters, kernel size, stride)`.
NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # Mnih et al., 2015
DATA_EFFICIENT = ((32, 5, 5), (64, 5, 5))  # van Hasselt et al., 2019
IMPALA = (16, 32, 32)  # filters of the three stages of Espeholt et al., 2018
# Smallest height and width in pixels, by the strides and kernels above.
SMALLEST_IMAGES = {"nature": 36, "data_efficient": 25, "impala": 8}


def nature(
    x: keras.KerasTensor,
    seeds: Seeds,
    width: int = 1,
    dtype: Any = None,
) -> keras.KerasTensor:
    """Returns the features of the three convolutions of DQN.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Model
          architecture".
    """
    return _flat(_convolutions(x, NATURE, seeds, width, dtype), dtype)


def data_efficient(
    x: keras.KerasTensor, seeds: Seeds, width: int = 1, dtype: Any = None
) -> keras.KerasTensor:
    """Returns the features of two large convolutions, 576 of an Atari frame.

    Reference:
        - [van Hasselt et al., 2019](https://arxiv.org/abs/1906.05243), appendix E.
    """
    return _flat(_convolutions(x, DATA_EFFICIENT, seeds, width, dtype), dtype)


def impala(
    x: keras.KerasTensor, seeds: Seeds, width: int = 1, dtype: Any = None
) -> keras.KerasTensor:
    """Returns the features of three stages of residual blocks.

    A stage is a convolution, a pooling that halves the image, and two blocks of two
    convolutions each. The end is pooled to about 6 by 6 if `width` is above 1, since
    its dense layers would be too large.

    Reference:
        - [Espeholt et al., 2018](https://arxiv.org/abs/1802.01561), figure 3.
        - [Clark et al., 2025](https://arxiv.org/abs/2411.03820): the width and the
          pooling.
    """

    def convolution(x, filters, name):
        return layers.Conv2D(
            filters,
            3,
            padding="same",
            data_format="channels_last",
            kernel_initializer=orthogonal(RELU_GAIN, seeds),
            dtype=dtype,
            name=name,
        )(x)

    def pooled(x, name):
        return layers.MaxPooling2D(
            3, 2, "same", data_format="channels_last", dtype=dtype, name=name
        )(x)

    def relu(x):
        return layers.Activation("relu", dtype=dtype)(x)

    for stage, filters in enumerate(IMPALA, start=1):
        x = convolution(x, filters * width, f"stage{stage}_conv")
        x = pooled(x, f"stage{stage}_pool")
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            inner = convolution(relu(x), filters * width, f"{name}_conv1")
            inner = convolution(relu(inner), filters * width, f"{name}_conv2")
            x = layers.Add(dtype=dtype, name=f"{name}_add")([x, inner])
    x = relu(x)
    return _flat(pooled(x, "pool") if width > 1 else x, dtype)


def mlp(
    x: keras.KerasTensor,
    seeds: Seeds,
    width: int = 1,
    dtype: Any = None,
    hidden_units: Sequence[int] = (128,),
) -> keras.KerasTensor:
    """Returns the features of dense layers, for vectors.

    Args:
        x, seeds, dtype: See above.
        width: Integer, by which `hidden_units` are multiplied.
        hidden_units: Integers, units of the layers.
    """
    if len(x.shape) != 2:
        x = _flat(x, dtype)
    for number, units in enumerate(hidden_units, start=1):
        x = layers.Dense(
            units * width,
            activation="relu",
            kernel_initializer=orthogonal(RELU_GAIN, seeds),
            dtype=dtype,
            name=f"dense{number}",
        )(x)
    return x


def _convolutions(x, rows, seeds, width, dtype):
    for number, (filters, kernel_size, stride) in enumerate(rows, start=1):
        x = layers.Conv2D(
            filters * width,
            kernel_size,
            strides=stride,
            padding="valid",
            data_format="channels_last",
            activation="relu",
            kernel_initializer=orthogonal(RELU_GAIN, seeds),
            dtype=dtype,
            name=f"conv{number}",
        )(x)
    return x


def _flat(x, dtype):
    return layers.Flatten(data_format="channels_last", dtype=dtype, name="flatten")(x)


BODIES: dict[str, Callable[..., keras.KerasTensor]] = {
    "nature": nature,
    "data_efficient": data_efficient,
    "impala": impala,
    "mlp": mlp,
}
