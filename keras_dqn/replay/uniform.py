"""Uniform replay: every stored transition is equally likely to be sampled."""

import numpy as np

from keras_dqn.replay.base import Replay


class UniformReplay(Replay):
    """Samples transitions uniformly, with replacement. All weights are 1.

    Args:
        capacity: Integer, the number of transitions kept. A multiple of the
            number of environments.
        gamma: Float in [0, 1], the discount per step.
        n_steps: Integer, at least 1. The number of rewards in an n-step return.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Methods".
    """

    def _draw(self, count, rng, beta):
        first, stop = self._store.complete()
        return rng.integers(first, stop, size=count), np.ones(count)
