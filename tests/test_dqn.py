"""`DQN` as a Keras model: what it refuses, `fit`, `evaluate`, `save`."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_dqn.algorithms.backups import Greedy
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.dqn import DQN
from tests import tiny


def fit(model, many, **options):
    options = {"epochs": 1, "verbose": 0, "shuffle": False, **options}
    return model.fit(tiny.Dataset(many), **options)


@pytest.mark.parametrize("options", [{}, {"backup": "greedy", "huber_delta": 0.5}])
def test_fit_makes_the_same_weights_as_a_learner_on_the_same_batches(options):
    fitted, learner = tiny.model(**options), tiny.learner(**options)
    if not options:  # as a user has it: with XLA on TensorFlow, which is slow
        fitted.compile(optimizer=tiny.adam())
    fit(fitted, tiny.batches(5))
    for batch in tiny.batches(5):
        learner.update(batch)
    learner.sync_variables()
    tiny.assert_all_differ(tiny.weights(fitted.network), tiny.weights(tiny.network()))
    # Another compiler and another order of additions: float32 rounding, 5 steps.
    tiny.assert_same(
        tiny.weights(fitted.network), tiny.weights(learner.network), atol=1e-6
    )


def test_fit_leaves_the_target_network_as_it_was():
    model = tiny.model()
    before = tiny.weights(model.target_network)
    fit(model, tiny.batches(4))
    tiny.assert_same(tiny.weights(model.target_network), before)


@pytest.mark.parametrize("period", [1, 2])
def test_fit_syncs_the_target_after_every_so_many_gradient_steps(period):
    many, synced, by_hand = tiny.batches(5), tiny.model(), tiny.learner()
    synced.target_sync_updates = period
    fit(synced, many)
    for number, batch in enumerate(many, start=1):
        by_hand.update(batch)
        if number % period == 0:
            by_hand.sync_target()
    by_hand.sync_variables()
    for network in ("network", "target_network"):
        tiny.assert_same(
            tiny.weights(getattr(synced, network)),
            tiny.weights(getattr(by_hand, network)),
            atol=1e-6,
        )


def test_gradient_steps_count_on_from_one_fit_to_the_next():
    twice, once = (tiny.model(target_sync_updates=3) for _ in range(2))
    many = tiny.batches(4)
    fit(twice, many[:2])
    fit(twice, many[2:])
    fit(once, many)
    tiny.assert_same(tiny.weights(twice), tiny.weights(once))


def test_a_target_synced_by_fit_shares_no_memory_with_the_online_network():
    model = tiny.model(target_sync_updates=2)
    fit(model, tiny.batches(2))
    synced = tiny.weights(model.network)
    tiny.assert_same(tiny.weights(model.target_network), synced)
    fit(model, tiny.batches(1))
    tiny.assert_same(tiny.weights(model.target_network), synced)
    tiny.assert_all_differ(tiny.weights(model.network), synced)


def test_sync_target_is_a_copy_that_outlives_the_next_fit():
    model = tiny.model()
    for _ in range(2):
        model.sync_target()
        synced = tiny.weights(model.network)
        tiny.assert_same(tiny.weights(model.target_network), synced)
        fit(model, tiny.batches(2))
        tiny.assert_same(tiny.weights(model.target_network), synced)
        tiny.assert_all_differ(tiny.weights(model.network), synced)


def test_a_callback_may_sync_the_target():
    class Sync(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if (batch + 1) % 2 == 0:
                self.model.sync_target()

    by_callback, by_option = tiny.model(), tiny.model(target_sync_updates=2)
    fit(by_callback, tiny.batches(5), callbacks=[Sync()])
    fit(by_option, tiny.batches(5))
    tiny.assert_same(tiny.weights(by_callback), tiny.weights(by_option), atol=1e-6)


def test_a_new_target_network_equals_the_online_one():
    model = DQN(tiny.network())
    tiny.assert_same(tiny.weights(model.target_network), tiny.weights(model.network))
    assert model.target_network is not model.network
    assert not model.target_network.trainable_variables


def test_the_network_stays_the_callers_and_is_trained_in_place():
    network = tiny.network()
    before = tiny.weights(network)
    model = DQN(network)
    tiny.assert_same(tiny.weights(network), before)
    model.compile(optimizer=tiny.adam())
    fit(model, tiny.batches(1))
    assert model.network is network
    tiny.assert_all_differ(tiny.weights(network), before)


def test_the_logs_are_averages_over_the_batches():
    model = tiny.model(keras.optimizers.SGD(0.0))
    many = tiny.batches(3)
    learner = tiny.learner(keras.optimizers.SGD(0.0))
    updates = [learner.update(batch) for batch in many]
    history = fit(model, many).history
    assert set(history) == {"loss", "td_error", "q"}
    (loss,), (td_error,), (q,) = (history[name] for name in ("loss", "td_error", "q"))
    np.testing.assert_allclose(loss, np.mean([u.loss for u in updates]), rtol=1e-5)
    expected = np.mean([np.abs(u.td_errors) for u in updates])
    np.testing.assert_allclose(td_error, expected, rtol=1e-5)
    np.testing.assert_allclose(q, np.mean([u.q_values for u in updates]), rtol=1e-5)


def test_each_epoch_averages_anew():
    model = tiny.model(keras.optimizers.SGD(0.0))
    history = fit(model, tiny.batches(2), epochs=2).history
    for values in history.values():
        assert values[0] == values[1]


def test_evaluate_changes_nothing_and_reports_the_loss_before_training():
    model = tiny.model()
    before = tiny.weights(model)
    (batch,) = tiny.batches(1)
    logs = model.evaluate(tiny.Dataset([batch]), verbose=0, return_dict=True)
    tiny.assert_same(tiny.weights(model), before)
    assert int(model.optimizer.iterations) == 0
    update = tiny.learner().update(batch)
    assert logs["loss"] == pytest.approx(float(update.loss), rel=1e-5)
    assert logs["td_error"] == pytest.approx(np.abs(update.td_errors).mean(), rel=1e-5)
    assert logs["q"] == pytest.approx(update.q_values.mean(), rel=1e-5)


def test_fit_with_validation_data_reports_it_and_trains_no_more_for_it():
    validated, plain = tiny.model(), tiny.model()
    unseen = tiny.Dataset([tiny.batch(99)])
    history = fit(validated, tiny.batches(2), validation_data=unseen).history
    fit(plain, tiny.batches(2))
    assert set(history) == {
        "loss",
        "td_error",
        "q",
        "val_loss",
        "val_td_error",
        "val_q",
    }
    tiny.assert_same(tiny.weights(validated), tiny.weights(plain))
    expected = plain.evaluate(unseen, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-6)


def test_fit_takes_a_dictionary_of_arrays_with_a_short_last_batch():
    arrays = tiny.batch(0, size=11)
    by_arrays, by_batches = tiny.model(), tiny.model()
    by_arrays.fit(arrays, batch_size=4, shuffle=False, verbose=0)
    parts = [slice(0, 4), slice(4, 8), slice(8, 11)]
    fit(by_batches, [{k: x[part] for k, x in arrays.items()} for part in parts])
    tiny.assert_same(tiny.weights(by_arrays), tiny.weights(by_batches), atol=1e-6)


@pytest.mark.parametrize("name", ["actions", "rewards", "discounts", "weights"])
def test_fit_refuses_a_column_where_a_row_is_due(name):
    batch = tiny.batch()
    batch[name] = batch[name][:, None]
    with pytest.raises(ValueError, match=f"`{name}` must have shape"):
        fit(tiny.model(), [batch])


def test_a_saved_model_trains_on_as_if_it_had_not_been_saved(tmp_path):
    model = tiny.model(target_sync_updates=2, huber_delta=0.7)
    fit(model, tiny.batches(3))
    model.save(tmp_path / "double_dqn.keras")
    loaded = keras.models.load_model(tmp_path / "double_dqn.keras")
    tiny.assert_same(tiny.weights(loaded), tiny.weights(model))
    for one in (model, loaded):
        fit(one, tiny.batches(6)[3:])
    tiny.assert_same(tiny.weights(loaded), tiny.weights(model))


def test_the_config_keeps_every_option_and_is_left_as_it_was():
    options = {
        "target_sync_updates": 7,
        "stack_first": True,
        "name": "other",
    }
    config = DQN(
        tiny.network(), distribution=Scalar(0.5), backup="greedy", **options
    ).get_config()
    copy = dict(config)
    again = DQN.from_config(config)
    assert config == copy
    assert {name: getattr(again, name) for name in options} == options
    assert again.num_actions == tiny.ACTIONS
    assert again.distribution.huber_delta == 0.5
    assert type(again.backup) is Greedy


def test_calling_it_gives_the_q_values_of_the_online_network():
    model, observations = tiny.model(), tiny.batch()["observations"]
    q_values = keras.ops.convert_to_numpy(model(observations))
    expected = keras.ops.convert_to_numpy(model.network(observations))
    np.testing.assert_array_equal(q_values, expected)
    assert model.num_actions == tiny.ACTIONS


def test_observations_are_not_rounded_under_mixed_precision(mixed_bfloat16):
    # 257 is not a bfloat16 number: rounded, it would be 256.
    inputs = keras.Input((1,))
    shifted = layers.Rescaling(1.0, offset=-256.0, dtype="float32")(inputs)
    model = DQN(keras.Model(inputs, layers.Dense(1, dtype="float32")(shifted)))
    model.network.set_weights([np.ones((1, 1)), np.zeros(1)])
    q_values = keras.ops.convert_to_numpy(model(np.float32([[257.0]])))
    np.testing.assert_array_equal(q_values, [[1.0]])


def test_a_built_sequential_model_is_accepted():
    network = keras.Sequential([keras.Input((4,)), layers.Dense(tiny.ACTIONS)])
    model = DQN(network)
    model.compile(optimizer=tiny.adam())
    before = tiny.weights(network)
    fit(model, tiny.batches(1))
    tiny.assert_all_differ(tiny.weights(network), before)
