"""Which network an optimizer belongs to, and which variables it can train."""

from __future__ import annotations

import weakref

import keras

# For each optimizer, its network and the `id`s of the variables that it has slots for.
_OWNERS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def claim(optimizer: keras.optimizers.Optimizer, network: keras.Model) -> None:
    """Builds an optimizer for a network.

    Raises:
        ValueError: If the optimizer belongs to another network.
    """
    owner, known = _OWNERS.get(optimizer, (None, None))
    if owner is not None and owner() is not network:
        raise ValueError(
            "`optimizer` must be a new one for each network. Received: the optimizer "
            f"{optimizer.name!r} of another network"
        )
    if not optimizer.built:
        optimizer.build(network.trainable_variables)
    if known is None:
        known = set(map(id, network.trainable_variables))
    _OWNERS[optimizer] = weakref.ref(network), known


def check_trains(optimizer: keras.optimizers.Optimizer, network: keras.Model) -> None:
    """Raises `ValueError` if the optimizer has no slots for a trainable variable."""
    _, known = _OWNERS[optimizer]
    new = [each.path for each in network.trainable_variables if id(each) not in known]
    if new:
        raise ValueError(
            "`optimizer` must be a new one after layers were unfrozen: call `compile` "
            f"again. Received: {optimizer.name!r}, which was built without {new}"
        )
