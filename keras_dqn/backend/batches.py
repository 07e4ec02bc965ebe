"""Checks of batches, before a compiled step gets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def check_batch(
    batch: Any,
    keys: Sequence[str],
    num_actions: int,
    leading: Sequence[str] = ("batch",),
) -> None:
    """Checks keys and shapes of a batch, and its actions.

    Args:
        batch: Any object.
        keys: Sequence of strings, the keys that the batch must have.
        num_actions: Integer. Actions must be from 0 to `num_actions - 1`.
        leading: Names of the leading dimensions, which all arrays share.

    Raises:
        ValueError: If the batch is not a dictionary with exactly these keys, if
            shapes disagree, or if an action is not an integer in range.
    """
    if not isinstance(batch, dict) or batch.keys() != set(keys):
        received = sorted(batch) if isinstance(batch, dict) else type(batch).__name__
        raise ValueError(
            f"`batch` must be a dictionary with the keys {sorted(keys)}. "
            f"Received: {received}"
        )
    rank = len(leading)
    actions = np.asarray(batch["actions"])
    for key in keys:
        shape = np.shape(batch[key])
        sizes = shape[:rank] if key.endswith("observations") else shape
        if sizes != actions.shape or len(sizes) != rank or 0 in sizes:
            raise ValueError(
                f"`{key}` must have the dimensions ({', '.join(leading)}), at least 1 "
                "each and the same for all keys; only observations have more. "
                f"Received: {key}.shape={shape}, actions.shape={actions.shape}"
            )
    if actions.dtype.kind not in "iu":
        raise ValueError(
            f"`actions` must be integers. Received: actions.dtype={actions.dtype}"
        )
    if actions.min() < 0 or actions.max() >= num_actions:
        raise ValueError(
            f"`actions` must be from 0 to {num_actions - 1}. "
            f"Received: from {actions.min()} to {actions.max()}"
        )
