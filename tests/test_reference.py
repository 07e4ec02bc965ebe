"""The float64 twins of `reference.py`, checked before they check anything."""

import numpy as np
import pytest

from tests import reference

pytestmark = pytest.mark.numpy


def test_the_analytic_gradient_is_the_slope_of_small_differences():
    rng = np.random.default_rng(0)
    network = reference.twin(1)
    observations, slopes = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    grads = network.gradient(observations, slopes)
    assert grads.keys() == reference.SHAPES.keys()
    for name, weights in network.weights.items():
        for index in np.ndindex(weights.shape):
            before, ends = weights[index], []
            for step in (1e-6, -1e-6):
                weights[index] = before + step
                ends.append(np.sum(slopes * network(observations)))
            weights[index] = before
            slope = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(grads[name][index], slope, atol=1e-7)


def test_the_loss_falls_along_its_gradient_by_as_much_as_the_gradient_says():
    rng = np.random.default_rng(2)
    online, target = reference.twin(3), reference.twin(4)
    batch = {
        "observations": rng.normal(size=(8, 4)),
        "actions": rng.integers(3, size=8),
        "rewards": rng.normal(size=8),
        "discounts": np.full(8, 0.99),
        "next_observations": rng.normal(size=(8, 4)),
        "weights": rng.uniform(0.1, 1.0, size=8),
    }
    targets = reference.td_targets(
        batch["rewards"],
        batch["discounts"],
        target(batch["next_observations"]),
        online(batch["next_observations"]),
    )

    class Descent:
        def apply(self, weights, grads):
            for name, grad in grads.items():
                weights[name] -= 1e-6 * grad

    before, _, _, grads = reference.gradient_step(online, target, batch, Descent())
    q_values = reference.q_at(online(batch["observations"]), batch["actions"])
    after = reference.loss(q_values - targets, batch["weights"])
    expected = 1e-6 * sum(np.sum(grad**2) for grad in grads.values())
    np.testing.assert_allclose(before - after, expected, rtol=1e-3)


def test_the_first_step_of_adam_is_the_learning_rate_and_the_sign():
    # Step 1: m = 0.1 g, v = 0.001 g^2, corrected = sqrt(0.001) / 0.1; with g = 4,
    # lr * 0.31623 * 0.4 / (0.12649 + 1e-8) = lr * (1 - 7.9e-8).
    weights = {"w": np.zeros(2)}
    reference.Adam(1e-4, epsilon=1e-8).apply(weights, {"w": np.array([4.0, -4.0])})
    np.testing.assert_allclose(weights["w"], [-1e-4, 1e-4], rtol=1e-6)


def test_only_the_variable_over_the_norm_is_clipped():
    optimizer = reference.Adam(1.0, clipnorm=10.0)
    grads = {"over": np.array([12.0, 16.0]), "under": np.array([9.0])}
    optimizer.apply({"over": np.zeros(2), "under": np.zeros(1)}, grads)
    np.testing.assert_allclose(optimizer.m["over"], [0.6, 0.8])
    np.testing.assert_allclose(optimizer.m["under"], [0.9])
