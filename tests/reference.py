"""Slow, obvious float64 twins of the Keras half: maths, network, optimizer.

Beside them, the batches that they and the tiny networks of `tiny.py` are fed.

NumPy only. `tests/test_reference.py` checks the twins themselves: gradients
against differences, formulas against numbers worked out by hand.
"""

import numpy as np

ACTIONS = 3
FEATURES = 4


def dueling(value, advantages):
    """V + A - mean of A, row by row. `value` is `(batch, 1)`."""
    rows = []
    for v, a in zip(value, advantages, strict=True):
        rows.append([v[0] + one - sum(a) / len(a) for one in a])
    return np.array(rows, "float64")


def q_at(q_values, actions):
    return np.array(
        [float(row[a]) for row, a in zip(q_values, actions, strict=True)], "float64"
    )


def td_targets(rewards, discounts, next_q_target, next_q_online=None):
    """Double Q-learning with `next_q_online`, plain Q-learning without."""
    targets = []
    for i, (reward, discount) in enumerate(zip(rewards, discounts, strict=True)):
        chooser = next_q_target if next_q_online is None else next_q_online
        best = max(range(len(chooser[i])), key=lambda a, i=i: chooser[i][a])
        targets.append(float(reward) + float(discount) * float(next_q_target[i][best]))
    return np.array(targets, "float64")


def huber(x, delta=1.0):
    if abs(x) < delta:
        return 0.5 * x * x
    return delta * (abs(x) - 0.5 * delta)


def huber_slope(x, delta=1.0):
    return float(min(max(x, -delta), delta))


def loss(td_errors, weights, delta=1.0):
    terms = [w * huber(e, delta) for e, w in zip(td_errors, weights, strict=True)]
    return sum(terms) / len(terms)


class DuelingMLP:
    """The network of `dueling_mlp` with one shared layer, and its gradient.

    Args:
        weights: Dictionary from `layer/kernel` and `layer/bias` to arrays.
    """

    def __init__(self, weights):
        self.weights = {name: np.array(w, "float64") for name, w in weights.items()}

    def __call__(self, observations):
        return self._forward(observations)[-1]

    def _layer(self, name, x):
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def _forward(self, observations):
        x = np.array(observations, "float64")
        shared = self._layer("dense1", x)
        features = np.maximum(shared, 0.0)
        value_pre = self._layer("value_hidden", features)
        advantage_pre = self._layer("advantage_hidden", features)
        value = self._layer("value_score", np.maximum(value_pre, 0.0))
        advantages = self._layer("advantage_scores", np.maximum(advantage_pre, 0.0))
        return x, shared, value_pre, advantage_pre, dueling(value, advantages)

    def gradient(self, observations, slopes):
        """Returns d(sum of slopes * Q)/d(weight) by name; `slopes` as Q-values."""
        x, shared, value_pre, advantage_pre, _ = self._forward(observations)
        features = np.maximum(shared, 0.0)
        grads = {}

        def back(name, below, slope):
            grads[f"{name}/kernel"] = below.T @ slope
            grads[f"{name}/bias"] = slope.sum(axis=0)
            return slope @ self.weights[f"{name}/kernel"].T

        d_value = slopes.sum(axis=1, keepdims=True)
        d_advantages = slopes - slopes.mean(axis=1, keepdims=True)
        d_value = back("value_score", np.maximum(value_pre, 0.0), d_value)
        d_features = back("value_hidden", features, d_value * (value_pre > 0))
        hidden = np.maximum(advantage_pre, 0.0)
        d_advantages = back("advantage_scores", hidden, d_advantages)
        d_advantages = d_advantages * (advantage_pre > 0)
        d_features = d_features + back("advantage_hidden", features, d_advantages)
        back("dense1", x, d_features * (shared > 0))
        return grads


SHAPES = {
    "dense1/kernel": (4, 5),
    "dense1/bias": (5,),
    "value_hidden/kernel": (5, 4),
    "value_hidden/bias": (4,),
    "advantage_hidden/kernel": (5, 4),
    "advantage_hidden/bias": (4,),
    "value_score/kernel": (4, 1),
    "value_score/bias": (1,),
    "advantage_scores/kernel": (4, 3),
    "advantage_scores/bias": (3,),
}


def twin(seed):
    rng = np.random.default_rng(seed)
    return DuelingMLP({k: rng.normal(size=s) for k, s in SHAPES.items()})


class Adam:
    """Adam in its "epsilon hat" form, clipping each variable's gradient alone."""

    def __init__(self, learning_rate, epsilon=1e-8, clipnorm=None):
        self.learning_rate = learning_rate
        self.epsilon, self.clipnorm = epsilon, clipnorm
        self.steps, self.m, self.v = 0, {}, {}

    def apply(self, weights, grads):
        """Changes `weights` in place."""
        self.steps += 1
        corrected = np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for name, grad in grads.items():
            norm = np.sqrt(np.sum(grad**2))
            if self.clipnorm is not None and norm > self.clipnorm:
                grad = grad * self.clipnorm / norm
            m = self.m[name] = 0.9 * self.m.get(name, 0.0) + 0.1 * grad
            v = self.v[name] = 0.999 * self.v.get(name, 0.0) + 0.001 * grad**2
            step = self.learning_rate * corrected * m
            weights[name] -= step / (np.sqrt(v) + self.epsilon)


def gradient_step(online, target, batch, optimizer, double_q=True, delta=1.0):
    """One whole update of `online`. Returns loss, TD errors, Q(s, a), gradients."""
    next_observations = batch["next_observations"]
    targets = td_targets(
        batch["rewards"],
        batch["discounts"],
        target(next_observations),
        online(next_observations) if double_q else None,
    )
    q_all = online(batch["observations"])
    q_values = q_at(q_all, batch["actions"])
    td_errors = q_values - targets
    slopes = np.zeros_like(q_all)
    for i, action in enumerate(batch["actions"]):
        weight = float(batch["weights"][i]) / len(q_all)
        slopes[i, action] = weight * huber_slope(td_errors[i], delta)
    value = loss(td_errors, np.float64(batch["weights"]), delta)
    grads = online.gradient(batch["observations"], slopes)
    optimizer.apply(online.weights, grads)
    return value, td_errors, q_values, grads


def batch(seed=0, size=8):
    """Rewards are large enough for both arms of the loss; a third is terminal."""
    rng = np.random.default_rng([1, seed])
    return {
        "observations": rng.normal(size=(size, FEATURES)).astype("float32"),
        "actions": rng.integers(ACTIONS, size=size).astype("int32"),
        "rewards": (2 * rng.normal(size=size)).astype("float32"),
        "discounts": np.where(np.arange(size) % 3 == 0, 0.0, 0.99).astype("float32"),
        "next_observations": rng.normal(size=(size, FEATURES)).astype("float32"),
        "weights": rng.uniform(0.1, 1.0, size=size).astype("float32"),
    }


def batches(count, size=8):
    return [batch(seed, size) for seed in range(count)]


def stacked(many):
    return {key: np.stack([one[key] for one in many]) for key in many[0]}
