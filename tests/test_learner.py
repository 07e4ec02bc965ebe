"""One gradient step: against the twin, by hand, and against itself."""

import keras
import numpy as np
import pytest

from keras_dqn.backend import Learner
from tests import reference
from tests import tiny


@pytest.mark.parametrize(
    ("backup", "delta"), [("double", 1.0), ("greedy", 1.0), ("double", 0.25)]
)
def test_updates_equal_the_float64_twin(backup, delta):
    clipnorm = delta / 2  # some gradients are clipped, some are not: see below
    learner = tiny.learner(
        tiny.adam(clipnorm=clipnorm), backup=backup, huber_delta=delta
    )
    twins = tiny.twin(learner.network), tiny.twin(learner.target_network)
    optimizer = reference.Adam(1e-2, epsilon=1e-8, clipnorm=clipnorm)
    for batch in tiny.batches(4):
        update = learner.update(batch)
        loss, td_errors, q_values, grads = reference.gradient_step(
            *twins, batch, optimizer, backup == "double", delta
        )
        norms = [np.sqrt(np.sum(grad**2)) for grad in grads.values()]
        assert min(norms) < clipnorm < max(norms)
        np.testing.assert_allclose(update.loss, loss, rtol=1e-5)
        np.testing.assert_allclose(update.td_errors, td_errors, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(update.q_values, q_values, rtol=1e-5, atol=1e-5)
    # Adam moves each weight by about 1e-2 at each step. Float32 has 7 digits, and
    # 5 of them are left in Keras's 1 - 0.999.
    tiny.assert_same(tiny.online(learner), twins[0].weights, atol=1e-5)


def linear_learner(learning_rate=1.0, huber_delta=1.0, **options):
    """Q = x w + b for two actions, all zeros; plain descent, clipped at 10."""
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Dense(2, name="q")(inputs))
    network.set_weights([np.zeros((2, 2)), np.zeros(2)])
    model = tiny.DQN(network, distribution=tiny.Scalar(huber_delta), **options)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate, clipnorm=10.0))
    return Learner(model)


def linear_batch(observation, action, reward, weight=1.0, discount=0.0):
    return {
        "observations": np.float32([observation]),
        "actions": np.int32([action]),
        "rewards": np.float32([reward]),
        "discounts": np.float32([discount]),
        "next_observations": np.float32([observation]),
        "weights": np.float32([weight]),
    }


def test_a_gradient_of_norm_20_is_halved_and_one_of_norm_9_is_left():
    # TD error 0 - 100: slope -1, times weight 9. The gradient of the kernel is
    # -9 x, norm 9 * 20 / 9 = 20, and that of the bias -9.
    learner = linear_learner()
    learner.update(linear_batch([12 / 9, 16 / 9], action=1, reward=100.0, weight=9.0))
    weights = tiny.online(learner)
    np.testing.assert_allclose(weights["q/kernel"], [[0, 6], [0, 8]], rtol=1e-6)
    np.testing.assert_allclose(weights["q/bias"], [0, 9], rtol=1e-6)


def test_td_errors_are_prediction_minus_target_before_the_step():
    learner = linear_learner(0.5)
    for target in (np.float32(3.0), np.float32(-2.0)):
        before = learner.q_values(np.float32([[1.0, 0.0]]))[0, 1]
        update = learner.update(linear_batch([1.0, 0.0], action=1, reward=target))
        assert update.td_errors.shape == update.q_values.shape == (1,)
        assert update.q_values[0] == before
        assert update.td_errors[0] == before - target
        after = learner.q_values(np.float32([[1.0, 0.0]]))[0, 1]
        assert abs(after - target) < abs(before - target)


@pytest.mark.parametrize(("backup", "expected"), [("double", 11.0), ("greedy", 21.0)])
def test_the_online_network_picks_and_the_target_network_prices(backup, expected):
    learner = linear_learner(backup=backup)
    learner.network.set_weights([np.zeros((2, 2)), np.float32([3.0, 2.0])])
    learner.target_network.set_weights([np.zeros((2, 2)), np.float32([10.0, 20.0])])
    learner.pull_variables()
    batch = linear_batch([1.0, 0.0], action=0, reward=1.0, discount=1.0)
    update = learner.update(batch)
    np.testing.assert_allclose(update.q_values, [3.0])
    np.testing.assert_allclose(update.td_errors, [3.0 - expected])
    np.testing.assert_allclose(update.priorities, [expected - 3.0])


def test_an_update_changes_the_online_network_and_the_optimizer_only():
    learner, batch = tiny.learner(), tiny.batch()
    given = {key: value.copy() for key, value in batch.items()}
    before = tiny.online(learner), tiny.target(learner)
    learner.update(batch)
    tiny.assert_all_differ(tiny.online(learner), before[0])
    tiny.assert_same(tiny.target(learner), before[1])
    tiny.assert_same(batch, given)


def test_a_synced_target_is_bit_equal_and_shares_no_memory():
    learner = tiny.learner()
    for number in range(3):
        learner.update(tiny.batch(number))
        learner.sync_target()
        synced = tiny.online(learner)
        tiny.assert_same(tiny.target(learner), synced)
        # On JAX an update deletes what it is given: nothing else may hold it.
        learner.update(tiny.batch(10 + number))
        learner.update_many(tiny.stacked(tiny.batches(2)))
        tiny.assert_same(tiny.target(learner), synced)
        tiny.assert_all_differ(tiny.online(learner), synced)


def test_variables_can_be_read_and_used_after_more_updates():
    learner, observations = tiny.learner(), tiny.batch()["observations"]
    learner.update(tiny.batch(0))
    learner.sync_variables()
    learner.update(tiny.batch(1))
    for network in (learner.network, learner.target_network):
        keras.ops.convert_to_numpy(network(observations))
    tiny.weights(learner.model)
    learner.pull_variables()
    learner.update(tiny.batch(2))
    tiny.weights(learner.model)


def test_q_values_are_those_of_the_online_network_after_each_update():
    learner, observations = tiny.learner(), tiny.batch()["observations"]
    for batch in tiny.batches(2):
        learner.update(batch)
        q_values = learner.q_values(observations)
        learner.sync_variables()
        expected = tiny.twin(learner.network)(observations)
        np.testing.assert_allclose(q_values, expected, atol=1e-5)
        assert q_values.dtype == "float32"


@pytest.mark.parametrize("is_fused", [None, True])
def test_many_updates_at_once_equal_as_many_one_by_one(is_fused):
    at_once, one_by_one = tiny.learner(), tiny.learner()
    if is_fused:  # as on a GPU; JAX alone does otherwise on a CPU
        at_once.is_fused = True
    many = tiny.batches(5)
    together = at_once.update_many(tiny.stacked(many))
    apart = [one_by_one.update(batch) for batch in many]
    assert together.loss.shape == (5,)
    assert together.td_errors.shape == together.q_values.shape == (5, 8)
    for name in ("loss", "td_errors", "q_values"):
        expected = [getattr(update, name) for update in apart]
        np.testing.assert_allclose(getattr(together, name), expected, atol=1e-5)
    # Another program, so another order of additions: float32 rounding, 5 steps.
    tiny.assert_same(tiny.online(at_once), tiny.online(one_by_one), atol=1e-6)
    assert at_once.state_dict()["optimizer/0"] == 5


def test_one_update_at_once_is_an_update():
    at_once, alone = tiny.learner(), tiny.learner()
    together = at_once.update_many(tiny.stacked([tiny.batch()]))
    update = alone.update(tiny.batch())
    np.testing.assert_allclose(together.td_errors, [update.td_errors], atol=1e-6)
    tiny.assert_same(tiny.online(at_once), tiny.online(alone), atol=1e-6)


@pytest.mark.usefixtures("torch_traces")
def test_each_function_is_traced_once_however_often_it_is_called():
    learner, many = tiny.learner(), tiny.stacked(tiny.batches(2))
    for number in range(20):
        batch = tiny.batch(number)
        learner.update(batch)
        learner.q_values(batch["observations"])
        if number % 5 == 0:
            learner.update_many(many)
            learner.sync_target()
            learner.learning_rate = 1e-2 / (number + 1)
            learner.load_state_dict(learner.state_dict())
    assert set(tiny.traces(learner).values()) == {1}
    assert learner.trace_counts["update_many"] == tiny.joins_updates(learner)


def test_priorities_are_the_sizes_of_the_td_errors():
    learner = tiny.learner()
    for update in (
        learner.update(tiny.batch()),
        learner.update_many(tiny.stacked(tiny.batches(2))),
    ):
        np.testing.assert_array_equal(update.priorities, np.abs(update.td_errors))


def test_two_learners_from_the_same_seed_stay_bit_identical():
    first, second = tiny.learner(), tiny.learner()
    for number, batch in enumerate(tiny.batches(6)):
        updates = first.update(batch), second.update(batch)
        for ours, theirs in zip(*updates, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if number % 2:
            first.sync_target()
            second.sync_target()
    tiny.assert_same(first.state_dict(), second.state_dict())


def test_a_new_learning_rate_takes_effect_in_the_next_update():
    learner = linear_learner(learning_rate=0.5)
    # The TD error stays under -1: each step moves the bias by the learning rate.
    batch = linear_batch([0.0, 0.0], action=0, reward=100.0)
    biases = []
    for learning_rate in (0.5, 0.25, 0.0, 2.0):
        learner.learning_rate = learning_rate
        assert learner.learning_rate == learning_rate
        learner.update(batch)
        biases.append(tiny.online(learner)["q/bias"][0])
    np.testing.assert_allclose(biases, [0.5, 0.75, 0.75, 2.75])


def test_setting_the_same_learning_rate_between_updates_changes_nothing():
    touched, plain = tiny.learner(), tiny.learner()
    for batch in tiny.batches(4):
        touched.learning_rate = 1e-2
        touched.update(batch)
        plain.update(batch)
    tiny.assert_same(touched.state_dict(), plain.state_dict())


@pytest.mark.parametrize("scales_loss", [False, True])
def test_the_learning_rate_of_a_schedule_is_the_current_one(scales_loss):
    schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 4, 0.0)
    optimizer = keras.optimizers.SGD(schedule)
    if scales_loss:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    learner = tiny.learner(optimizer)
    for expected in (1.0, 0.75, 0.5):
        assert learner.learning_rate == pytest.approx(expected)
        learner.update(tiny.batch())


def test_a_scaled_loss_takes_the_same_steps_and_is_reported_unscaled():
    scaled = tiny.learner(keras.optimizers.LossScaleOptimizer(tiny.adam()))
    plain = tiny.learner()
    for batch in tiny.batches(2):
        updates = scaled.update(batch), plain.update(batch)
        np.testing.assert_allclose(updates[0].loss, updates[1].loss, rtol=1e-6)
    tiny.assert_same(tiny.online(scaled), tiny.online(plain), atol=1e-6)


def live_tensors():
    if keras.config.backend() == "jax":
        import jax

        return len(jax.live_arrays())
    import gc

    gc.collect()
    if keras.config.backend() == "tensorflow":
        import tensorflow as framework
    else:
        import torch as framework
    # By type: `isinstance` would ask proxies that other libraries left behind.
    return sum(issubclass(type(x), framework.Tensor) for x in gc.get_objects())


def test_300_calls_of_q_values_leave_no_tensor_behind():
    learner, batch = tiny.learner(), tiny.batch()

    def call(times):
        for _ in range(times):
            learner.q_values(batch["observations"])

    call(10)
    before = live_tensors()
    call(300)
    assert live_tensors() <= before + 5


def test_a_learning_rate_that_a_callback_has_set_is_read_at_once():
    learner = tiny.learner()
    learner.update(tiny.batch())
    learner.optimizer.learning_rate = 0.25
    assert learner.learning_rate == 0.25
