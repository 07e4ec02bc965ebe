"""The table `reference_rows.md`: its tests exist, and its twin tells faults apart."""

import pathlib
import re

import numpy as np
import pytest

from tests import reference

pytestmark = pytest.mark.numpy

TESTS = pathlib.Path(__file__).resolve().parent
_ROW = re.compile(r"\| (\d+) \| (\S.*) \| (\S.*) \| (\S.*) \|")


def rows():
    """The number of each row, and its last cell."""
    lines = (TESTS / "reference_rows.md").read_text().splitlines()
    return [(int(m[1]), m[4]) for m in map(_ROW.fullmatch, lines) if m]


def test_the_table_lists_every_row_once_and_in_order():
    assert [number for number, _ in rows()] == list(range(1, 64))


@pytest.mark.parametrize(("row", "cell"), rows())
def test_the_tests_that_a_row_names_exist(row, cell):
    named = re.findall(r"`(\w+)::(\w+)`", cell)
    assert named, f"row {row} names no test"
    for file, test in named:
        code = (TESTS / f"test_{file}.py").read_text()
        assert f"def test_{test}(" in code, f"row {row}: {file}::{test}"
    for file in re.findall(r"`(test_\w+\.py)`", cell):
        assert (TESTS / file).exists(), f"row {row}: {file}"


# `test_learner.py` holds the compiled step to the twin in `reference.py`. What the
# twin could do otherwise unnoticed would be no part of that.


def trajectory(gradient_step=reference.gradient_step, clipnorm=0.5, epsilon=1e-8):
    """Everything that `test_updates_equal_the_float64_twin` compares."""
    online, target = reference.twin(0), reference.twin(100)
    optimizer = reference.Adam(1e-2, epsilon=epsilon, clipnorm=clipnorm)
    found = []
    for batch in reference.batches(4):
        found += gradient_step(online, target, batch, optimizer)[:3]
    return np.concatenate([np.ravel(x) for x in (*found, *online.weights.values())])


def step_on(**changes):
    """The step on a batch with other values."""

    def step(online, target, batch, optimizer):
        return reference.gradient_step(online, target, {**batch, **changes}, optimizer)

    return step


def without_double_q(*arguments):
    return reference.gradient_step(*arguments, double_q=False)


def with_another_delta(*arguments):
    return reference.gradient_step(*arguments, delta=1.1)


def with_target_minus_prediction(*arguments):
    loss, td_errors, q_values, _ = reference.gradient_step(*arguments)
    return loss, -td_errors, q_values


def with_gradient_through_the_target(online, target, batch, optimizer):
    def gradient(observations, slopes):
        through = -slopes * batch["discounts"][:, None]
        leak = honest(batch["next_observations"], through)
        return {k: grad + leak[k] for k, grad in honest(observations, slopes).items()}

    honest, online.gradient = online.gradient, gradient
    try:
        return reference.gradient_step(online, target, batch, optimizer)
    finally:
        online.gradient = honest


def with_the_sum_of_the_losses(online, target, batch, optimizer):
    weights = batch["weights"] * len(batch["weights"])
    return step_on(weights=weights)(online, target, batch, optimizer)


def with_all_gradients_clipped_together(online, target, batch, optimizer):
    class Together:
        def apply(self, weights, grads):
            norm = np.sqrt(sum(np.sum(grad**2) for grad in grads.values()))
            scale = min(1.0, 0.5 / norm)
            optimizer.apply(weights, {k: grad * scale for k, grad in grads.items()})

    return reference.gradient_step(online, target, batch, Together())


def with_q_values_after_the_step(online, target, batch, optimizer):
    loss, td_errors, _, _ = reference.gradient_step(online, target, batch, optimizer)
    q_values = reference.q_at(online(batch["observations"]), batch["actions"])
    return loss, td_errors, q_values


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (12, {"gradient_step": without_double_q}),
        (13, {"gradient_step": step_on(discounts=np.full(8, 0.99))}),
        (13, {"gradient_step": step_on(discounts=np.zeros(8))}),
        (14, {"gradient_step": with_target_minus_prediction}),
        (14, {"gradient_step": with_gradient_through_the_target}),
        (15, {"gradient_step": with_another_delta}),
        (16, {"gradient_step": step_on(weights=np.ones(8))}),
        (16, {"gradient_step": with_the_sum_of_the_losses}),
        (17, {"clipnorm": None}),
        (17, {"gradient_step": with_all_gradients_clipped_together}),
        (18, {"epsilon": 1e-7}),  # Keras's default
        (19, {"gradient_step": with_q_values_after_the_step}),
    ],
)
def test_a_step_with_a_fault_does_not_equal_the_twin(row, fault):
    """By more than the 1e-5 that `test_learner.py` allows."""
    right = trajectory()
    assert not np.allclose(trajectory(**fault), right, rtol=1e-5, atol=1e-5)
