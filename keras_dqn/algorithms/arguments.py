"""Checks the optimizer passed to `DQNAgent.compile`."""

from __future__ import annotations

from typing import Any

import keras

from keras_dqn import checks


def as_optimizer(optimizer: Any) -> keras.optimizers.Optimizer:
    """Returns a Keras optimizer.

    Args:
        optimizer: Keras optimizer, its name, or its configuration. `None`: Adam with
            learning rate 1e-4, epsilon 1e-8 and each variable's gradient clipped to
            L2 norm 10, as in the reference implementation.

    Raises:
        TypeError: If `optimizer` is a class, a number, or anything else.
        ValueError: If Keras has no optimizer of that name.
    """
    if optimizer is None:
        return keras.optimizers.Adam(1e-4, epsilon=1e-8, clipnorm=10.0)
    if isinstance(optimizer, str):
        try:
            return keras.optimizers.get(optimizer)
        except ValueError:
            rule = "a Keras optimizer or the name of one, such as 'adam'"
            raise checks.ArgumentError("optimizer", rule, optimizer) from None
    if not isinstance(optimizer, dict | keras.optimizers.Optimizer):
        instead = "keras.optimizers.Adam(1e-4)"
        if isinstance(optimizer, type):
            instead = f"keras.optimizers.{optimizer.__name__}(...)"
        elif isinstance(optimizer, float):
            instead = f"keras.optimizers.Adam({optimizer})"
        raise checks.wrong_kind("optimizer", "a Keras optimizer", optimizer, instead)
    return keras.optimizers.get(optimizer)
