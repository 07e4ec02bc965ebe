"""Epsilon-greedy exploration."""

from __future__ import annotations

import numpy as np

from keras_dqn import checks


def epsilon_greedy(
    q_values: np.ndarray, epsilon: float, rng: np.random.Generator
) -> np.ndarray:
    """Returns one action for each environment.

    Independently in each environment, with probability `epsilon` the action is drawn
    uniformly from *all* actions, including the greedy one. Otherwise it is the greedy
    one. So `P(greedy) = 1 - epsilon + epsilon / actions`.

    A call always draws `2 * n` random numbers, whatever the Q-values and `epsilon`.

    Args:
        q_values: Array of finite numbers, shape `(n, actions)`.
        epsilon: Float from 0 (always greedy) to 1 (always random).
        rng: `numpy.random.Generator`.

    Returns:
        Array, shape `(n,)`, int64, from 0 to `actions - 1`. Among equal Q-values
        the lowest action is the greedy one.

    Raises:
        ValueError: If `q_values` has another shape, or `epsilon` is not from 0
            to 1.
        FloatingPointError: If a Q-value is not finite. `argmax` would choose the
            first NaN without an error.
        TypeError: If `rng` is not a `numpy.random.Generator`.

    Reference:
        - [Mnih et al., 2015](https://www.nature.com/articles/nature14236),
          Algorithm 1.
    """
    q_values = _checked_q_values(q_values)
    epsilon = checks.probability("epsilon", epsilon)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"`rng` must be a `numpy.random.Generator`. Received: rng={rng!r}"
        )
    count, num_actions = q_values.shape
    # Not `rng.integers`: it may reject a number and draw another one.
    explore_draws, action_draws = rng.random((2, count))
    random_actions = (action_draws * num_actions).astype(np.int64)
    greedy_actions = np.argmax(q_values, axis=1)
    return np.where(explore_draws < epsilon, random_actions, greedy_actions)


def _checked_q_values(q_values):
    q_values = np.asarray(q_values)
    if q_values.ndim != 2 or q_values.shape[1] < 1:
        raise ValueError(
            "`q_values` must have shape `(n, actions)` with at least one action. "
            f"Received: q_values.shape={q_values.shape}"
        )
    if q_values.dtype.kind not in "fiu":  # bfloat16 of `ml_dtypes`
        q_values = q_values.astype(np.float32)
    if not np.isfinite(q_values).all():
        rows = np.flatnonzero(~np.isfinite(q_values).all(axis=1)).tolist()
        raise FloatingPointError(
            "`q_values` must be finite: the network has diverged. "
            f"Received: NaN or infinity in rows {rows}"
        )
    return q_values
