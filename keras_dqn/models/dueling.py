"""Q-networks, composed of a body and a head, as plain functional Keras models.

A Q-network maps an observation to one Q-value per action: the expected discounted
return after this action; or to the K numbers of its distribution.

Only Keras layers and `keras.ops` are used: a saved model opens with Keras alone, on
any backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dqn import checks
from keras_dqn.models import bodies
from keras_dqn.models.heads import dueling_head
from keras_dqn.models.heads import plain_head
from keras_dqn.models.seeds import Seeds


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
    return q_network(
        num_actions,
        input_shape,
        body="nature",
        hidden_units=hidden_units,
        seed=seed,
        dtype=dtype,
        name=name,
    )


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
    seeds = Seeds(seed)
    observations = keras.Input(observation_shape, dtype="float32", name="observations")
    x = bodies.mlp(observations, seeds, 1, dtype, hidden_units[:-1])
    q_values = dueling_head(x, num_actions, hidden_units[-1], seeds.next(), dtype)
    return keras.Model(observations, q_values, name=name)


def q_network(
    num_actions: int,
    observation_shape: Sequence[int] = (84, 84, 4),
    *,
    body: str = "nature",
    body_width: int = 1,
    hidden_units: int = 256,
    dueling: bool = True,
    outputs_per_action: int | None = None,
    seed: int | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str = "q_network",
) -> keras.Model:
    """Returns a network of a body and a head.

    Args:
        num_actions: Integer, at least 1.
        observation_shape: Shape of one observation: `(height, width, frames)` for
            images, the oldest frame first.
        body: `"nature"`, `"data_efficient"`, `"impala"`, or `"mlp"` for vectors, see
            `models.bodies`.
        body_width: Integer, by which the filters or units of the body are multiplied.
        hidden_units: Integer, units of the hidden layer of each stream of the head;
            with `"mlp"` also of the layer before it.
        dueling: Boolean, whether the head has two streams, see `models.heads`.
        outputs_per_action: Integer, or `None` for Q-values, see `dueling_head`.
        seed: Integer that makes the initial weights reproducible on one backend,
            or `None`.
        dtype: Dtype or dtype policy of the layers, such as `"mixed_bfloat16"`.
            Default: that of Keras's configuration.
        name: String, the model's name.

    Returns:
        Functional `keras.Model`. Input: `(batch, *observation_shape)`, for images
        uint8, pixels from 0 to 255, which the model scales to [0, 1], otherwise
        float32. Output: float32, `(batch, num_actions)`, or
        `(batch, num_actions, outputs_per_action)`.

    Raises:
        ValueError: If an argument is out of range, or the images are too small.
    """
    num_actions = checks.integer("num_actions", num_actions, minimum=1)
    checks.integer("body_width", body_width, minimum=1)
    checks.choice("body", body, bodies.BODIES)
    seeds = Seeds(seed)
    if body == "mlp":
        observations = keras.Input(
            observation_shape, dtype="float32", name="observations"
        )
        x = bodies.mlp(observations, seeds, body_width, dtype, (hidden_units,))
    else:
        _check_images(observation_shape, body)
        observations = keras.Input(
            observation_shape, dtype="uint8", name="observations"
        )
        x = ops.cast(observations, "float32") / 255.0
        x = bodies.BODIES[body](x, seeds, body_width, dtype)
    head = dueling_head if dueling else plain_head
    outputs = head(
        x, num_actions, hidden_units, seeds.next(), dtype, outputs_per_action
    )
    return keras.Model(observations, outputs, name=name)


def for_settings(
    settings: Any, num_actions: int, observation_shape: Sequence[int]
) -> keras.Model:
    """Returns the network that `Settings` describe.

    Args:
        settings: `Settings`.
        num_actions, observation_shape: See `q_network`.

    Raises:
        ValueError: If the body does not take such observations.
    """
    is_image = len(observation_shape) == 3
    body = settings.body
    if body == "auto":
        body = "nature" if is_image else "mlp"
    counts = {"categorical": settings.atoms, "quantiles": settings.quantiles}
    return q_network(
        num_actions,
        observation_shape,
        body=body,
        body_width=settings.body_width,
        hidden_units=settings.hidden_units,
        dueling=settings.dueling,
        outputs_per_action=counts.get(settings.distribution),
        seed=settings.seed,
        dtype=settings.dtype_policy,
        # What it was called before there were other networks.
        name="dueling_cnn" if is_image else "dueling_mlp",
    )


def _check_images(shape, body):
    smallest = bodies.SMALLEST_IMAGES[body]
    if len(shape) != 3 or min(shape[:2]) < smallest:
        raise ValueError(
            "`input_shape` must be `(height, width, frames)`, height and width "
            f"at least {smallest}. Received: input_shape={tuple(shape)}"
        )
