"""Initial weights of the networks."""

from __future__ import annotations

import keras
import numpy as np

# Gain of the orthogonal initializer for layers with ReLU, which halves the second
# moment.
RELU_GAIN = float(np.sqrt(2.0))


def orthogonal(gain: float, seeds: Seeds) -> keras.initializers.Initializer:
    """Returns an orthogonal initializer with the next seed."""
    return keras.initializers.Orthogonal(gain=gain, seed=seeds.next())


class Seeds:
    """Returns a different seed for each kernel.

    With one seed for all, kernels of equal shape would start with equal weights.

    Args:
        seed: Integer, or `None`: no seeds.
    """

    def __init__(self, seed: int | None) -> None:
        self._sequence = None if seed is None else np.random.SeedSequence(seed)

    def next(self) -> int | None:
        """Returns the next seed, or `None`."""
        if self._sequence is None:
            return None
        (child,) = self._sequence.spawn(1)
        return int(child.generate_state(1)[0] >> 1)
