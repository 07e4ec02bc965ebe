"""Uniform replay: every stored transition is as likely as any other."""

import numpy as np

from keras_dqn.replay.base import Replay


class UniformReplay(Replay):
    """Draws transitions uniformly, with replacement. Weights are 1.

    Args:
        capacity: Integer, the number of transitions kept. A multiple of the
            number of environments.
        gamma: Float in [0, 1], the discount per step.
        n_steps: Integer, at least 1: how many rewards a return sums.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Methods".
    """

    def _draw(self, count, rng, beta):
        first, stop = self._store.complete()
        return rng.integers(first, stop, size=count), np.ones(count)
