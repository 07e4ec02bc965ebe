"""Every expected number in this file was worked out by hand, or by the twin."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from keras_dqn.algorithms.backups import Double
from keras_dqn.algorithms.backups import Greedy
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.maths import huber
from keras_dqn.algorithms.maths import weighted_mean
from tests import reference
from tests import tiny

quick = hypothesis.settings(max_examples=40, deadline=None)


def floats(limit):
    return st.floats(-limit, limit, width=32, allow_subnormal=False)


def vectors(size, limit=100.0):
    return hnp.arrays("float32", size, elements=floats(limit))


def to_numpy(x):
    return ops.convert_to_numpy(x)


def td_targets(rewards, discounts, next_q_target, next_q_online=None):
    """The targets as `DQN` composes them, greedy without `next_q_online`."""
    backup, scalar = Double() if next_q_online is not None else Greedy(), Scalar()
    policy = backup.policy(
        lambda: scalar.mean(next_q_target), lambda: scalar.mean(next_q_online)
    )
    return scalar.targets(rewards, discounts, next_q_target, policy)


def loss_of(predicted, targets, weights, delta=1.0):
    return weighted_mean(Scalar(delta).losses(predicted, targets).losses, weights)


def test_double_q_prices_the_online_choice_with_the_target_network():
    targets = td_targets(
        rewards=np.float32([1.0, 1.0, -2.0]),
        discounts=np.float32([0.5, 0.0, 0.99]),  # the second one terminated
        next_q_target=np.float32([[10.0, 20.0], [10.0, 20.0], [-1.0, 100.0]]),
        next_q_online=np.float32([[3.0, 2.0], [3.0, 2.0], [0.0, -1.0]]),  # action 0
    )
    np.testing.assert_allclose(to_numpy(targets), [6.0, 1.0, -2.99], rtol=1e-6)


def test_without_an_online_choice_the_target_network_picks_and_prices():
    targets = td_targets([1.0], [0.5], [[10.0, 20.0]])
    np.testing.assert_array_equal(to_numpy(targets), [11.0])


def test_equal_values_are_resolved_to_the_first_action():
    targets = td_targets([0.0], [1.0], [[7.0, 8.0, 9.0]], [[5.0, 6.0, 6.0]])
    np.testing.assert_array_equal(to_numpy(targets), [8.0])


@pytest.mark.parametrize("next_q", [1e30, -1e30, 3.0])
def test_a_discount_of_zero_masks_any_bootstrap(next_q):
    targets = td_targets([2.5], [0.0], [[next_q, next_q]], [[0.0, 1.0]])
    np.testing.assert_array_equal(to_numpy(targets), [2.5])


def test_gamma_weighs_the_bootstrap_by_0_99():
    targets = td_targets([1.0], [0.99], [[0.0, 100.0]], [[0.0, 1.0]])
    np.testing.assert_allclose(to_numpy(targets), [100.0], rtol=1e-6)


def test_huber_has_the_values_of_the_fixtures():
    errors = np.float32([0.0, 0.5, 1.0, -2.0, -0.5, 1.5])
    expected = [0.0, 0.125, 0.5, 1.5, 0.125, 1.0]
    np.testing.assert_array_equal(to_numpy(huber(errors)), expected)


def test_huber_with_another_delta_bends_there():
    # delta 2: 0.5 * 1.5^2 = 1.125; 2 * (2 - 1) = 2; 2 * (5 - 1) = 8.
    values = huber(np.float32([1.5, 2.0, -5.0]), delta=2.0)
    np.testing.assert_array_equal(to_numpy(values), [1.125, 2.0, 8.0])


def test_the_slope_of_huber_is_the_error_clipped_to_one():
    slopes = tiny.gradient(huber, [0.0, 0.5, -0.25, 1.0, -2.0, 30.0])
    np.testing.assert_array_equal(slopes, [0.0, 0.5, -0.25, 1.0, -1.0, 1.0])


def test_weights_weigh_and_the_mean_divides_by_the_batch_size():
    # huber: 1.5, 0.125, 0.5; weighted 3.0 + 0.125 + 0.25 = 3.375; / 3.
    predicted, weights = np.float32([2.0, -0.5, 1.0]), np.float32([2.0, 1.0, 0.5])
    loss = loss_of(predicted, np.zeros(3, "float32"), weights)
    assert tuple(loss.shape) == ()
    np.testing.assert_allclose(to_numpy(loss), 1.125)


def test_q_at_picks_one_value_per_row():
    picked = Scalar().at(np.float32([[1.0, 2.0], [3.0, 4.0]]), np.int32([1, 0]))
    np.testing.assert_array_equal(to_numpy(picked), [2.0, 3.0])


@pytest.mark.parametrize("double_q", [True, False])
def test_no_gradient_flows_through_the_targets(double_q):
    ones = np.ones(2, "float32")

    def targets(q):
        return td_targets(ones, ones, q, q if double_q else None)

    np.testing.assert_array_equal(tiny.gradient(targets, [[1, 2], [4, 3]]), 0.0)


def test_no_gradient_flows_to_the_rewards_either():
    def targets(rewards):
        return td_targets(rewards, np.ones(1, "float32"), np.ones((1, 2)))

    np.testing.assert_array_equal(tiny.gradient(targets, [1.0]), 0.0)


def test_the_gradient_of_the_loss_reaches_only_the_action_taken():
    def loss(q):
        predicted = Scalar().at(q, np.int32([1, 0]))
        return loss_of(predicted, np.zeros(2, "float32"), np.float32([1.0, 0.5]))

    # Errors 0.5 and -3: slopes 0.5 and -1, weights 1 and 0.5, batch 2.
    slopes = tiny.gradient(loss, [[9.0, 0.5], [-3.0, 9.0]])
    np.testing.assert_allclose(slopes, [[0.0, 0.25], [-0.25, 0.0]])


GOOD_TARGETS = {
    "rewards": np.ones(2, "float32"),
    "discounts": np.ones(2, "float32"),
    "next_q_target": np.ones((2, 3), "float32"),
    "next_q_online": np.ones((2, 3), "float32"),
}


@pytest.mark.parametrize("name", ["rewards", "discounts"])
@pytest.mark.parametrize("shape", [(2, 1), (1, 2), (3,), (1,), ()])
def test_a_column_where_a_row_is_due_is_refused_by_td_targets(name, shape):
    bad = {**GOOD_TARGETS, name: np.ones(shape, "float32")}
    with pytest.raises(ValueError, match=f"`{name}` must have shape `\\(batch,\\)`"):
        td_targets(**bad)


@pytest.mark.parametrize("shape", [(2,), (2, 3, 1)])
def test_q_values_that_are_no_matrix_are_refused(shape):
    for name in ("next_q_target", "next_q_online"):
        bad = {**GOOD_TARGETS, name: np.ones(shape, "float32")}
        with pytest.raises(
            ValueError, match="`q_values` must have shape `\\(batch, act"
        ):
            td_targets(**bad)


@pytest.mark.parametrize("shape", [(2, 4), (3, 3)])
def test_q_values_of_two_sizes_are_refused(shape):
    bad = {**GOOD_TARGETS, "next_q_online": np.ones(shape, "float32")}
    with pytest.raises(ValueError, match="`policy` must have shape"):
        td_targets(**bad)


@pytest.mark.parametrize("name", ["targets", "weights"])
def test_a_column_where_a_row_is_due_is_refused_by_the_loss(name):
    good = {n: np.ones(2, "float32") for n in ("predicted", "targets", "weights")}
    with pytest.raises(ValueError, match=rf"`{name}` must have shape .*\(2, 1\)"):
        loss_of(**{**good, name: np.ones((2, 1), "float32")})


@pytest.mark.parametrize("shape", [(2, 1), (3,)])
def test_actions_that_do_not_fit_the_q_values_are_refused(shape):
    with pytest.raises(ValueError, match="`actions` must have shape"):
        Scalar().at(np.ones((2, 3), "float32"), np.zeros(shape, "int32"))


def test_q_values_without_an_action_axis_are_refused():
    with pytest.raises(ValueError, match="`q_values` must have shape"):
        Scalar().at(np.ones(3, "float32"), np.zeros(3, "int32"))


@pytest.mark.parametrize("kind", ["float64", "float32", "list"])
def test_numbers_of_any_kind_give_float32(kind):
    def given(values):
        return values if kind == "list" else np.array(values, kind)

    targets = td_targets(
        given([1.0]), given([0.5]), given([[10.0, 20.0]]), given([[3.0, 2.0]])
    )
    loss = loss_of(np.float32([0.5]), np.float32([0.0]), given([1.0]))
    picked = Scalar().at(given([[1.0, 2.0]]), [1])
    for tensor, value in ((targets, [6.0]), (loss, 0.125), (picked, [2.0])):
        assert to_numpy(tensor).dtype == "float32"
        np.testing.assert_array_equal(to_numpy(tensor), value)


@quick
@hypothesis.given(vectors(5, 10.0), st.sampled_from([0.5, 1.0, 3.0]))
def test_huber_equals_its_twin(errors, delta):
    expected = [reference.huber(float(x), delta) for x in errors]
    actual = to_numpy(huber(errors, delta))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@quick
@hypothesis.given(st.data(), st.sampled_from([(1, 1), (4, 3)]), st.booleans())
def test_targets_and_loss_equal_their_twins(data, shape, double_q):
    size, actions = shape  # JAX compiles each shape: two will do
    target, online, q_all = (data.draw(vectors(shape)) for _ in range(3))
    rewards, weights = data.draw(vectors(size)), np.abs(data.draw(vectors(size, 1.0)))
    discounts = np.abs(data.draw(vectors(size, 1.0)))
    taken = data.draw(hnp.arrays("int32", size, elements=st.integers(0, actions - 1)))
    inputs = (rewards, discounts, target, online if double_q else None)
    targets = td_targets(*inputs)
    expected_targets = reference.td_targets(*inputs)
    np.testing.assert_allclose(to_numpy(targets), expected_targets, atol=1e-4)
    loss = loss_of(Scalar().at(q_all, taken), targets, weights)
    expected = reference.loss(reference.q_at(q_all, taken) - expected_targets, weights)
    np.testing.assert_allclose(to_numpy(loss), expected, rtol=1e-4, atol=1e-3)
