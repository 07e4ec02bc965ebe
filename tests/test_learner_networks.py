"""Learners of other networks: stacked frames, mixed precision, frozen layers."""

import keras
import numpy as np

from keras_dqn.backend import Learner
from tests import reference
from tests import tiny


def frames_learner(stack_first):
    inputs = keras.Input((6, 5, 2), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(3, 3, data_format="channels_last")(x)
    x = keras.layers.Flatten(data_format="channels_last")(x)
    network = keras.Model(inputs, keras.layers.Dense(2)(x))
    model = tiny.DQN(tiny.with_weights(network, 0), stack_first=stack_first)
    model.compile(optimizer=tiny.adam())
    return Learner(model)


def test_stack_first_equals_a_transpose_on_the_host():
    rng = np.random.default_rng(0)
    shape = (8, 2, 6, 5)  # (batch, frames, height, width)
    first = tiny.batch()
    last = dict(first)
    for key in ("observations", "next_observations"):
        first[key] = rng.integers(256, size=shape, dtype=np.uint8)
        last[key] = np.ascontiguousarray(first[key].transpose(0, 2, 3, 1))
    for batch in (first, last):
        batch["actions"] = batch["actions"] % 2
    learners = frames_learner(True), frames_learner(False)
    results = []
    for learner, batch in zip(learners, (first, last), strict=True):
        before = (learner.q_values(batch["observations"]),)
        results.append(
            (*before, *learner.update(batch), *tiny.online(learner).values())
        )
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_q_loss_targets_and_td_errors_are_float32_under_mixed_precision(mixed_bfloat16):
    learner, batch = tiny.learner(), tiny.batch()
    assert learner.network.get_layer("dense1").compute_dtype == "bfloat16"
    results = [*learner.update(batch)]
    results += learner.update_many(tiny.stacked(tiny.batches(2)))
    results.append(learner.q_values(batch["observations"]))
    assert [result.dtype for result in results] == ["float32"] * len(results)
    assert all(np.all(np.isfinite(result)) for result in results)
    assert {w.dtype.name for w in tiny.online(learner).values()} == {"float32"}


def test_a_network_with_bfloat16_outputs_still_gives_float32(mixed_bfloat16):
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(tiny.ACTIONS)(inputs))
    model = tiny.DQN(network)
    model.compile(optimizer=tiny.adam())
    learner, batch = Learner(model), tiny.batch()
    results = [*learner.update(batch)]
    results.append(learner.q_values(batch["observations"]))
    assert [result.dtype for result in results] == ["float32"] * len(results)


def frozen_learner():
    """The shared layer is frozen, between the input and what is trained."""
    network = tiny.network()
    network.get_layer("dense1").trainable = False
    model = tiny.DQN(network)
    tiny.with_weights(model.target_network, 100)
    model.compile(optimizer=tiny.adam())
    return Learner(model)


def test_a_frozen_layer_stays_as_it_is_and_the_rest_is_trained_around_it():
    learner = frozen_learner()
    before = tiny.online(learner)
    twins = tiny.twin(learner.network), tiny.twin(learner.target_network)
    optimizer = reference.Adam(1e-2, epsilon=1e-8, clipnorm=0.5)
    for batch in tiny.batches(3):
        learner.update(batch)
        reference.gradient_step(*twins, batch, optimizer)
        for name in ("dense1/kernel", "dense1/bias"):
            twins[0].weights[name][...] = before[name]
    tiny.assert_same(tiny.online(learner), twins[0].weights, atol=1e-5)
    learner.sync_target()
    tiny.assert_same(tiny.target(learner), tiny.online(learner))
    learner.update(tiny.batch())
    assert np.all(tiny.online(learner)["dense1/kernel"] == before["dense1/kernel"])


def test_frozen_batch_normalization_is_accepted_and_stays_as_it_is():
    inputs = keras.Input((4,))
    norm = keras.layers.BatchNormalization(name="norm", trainable=False)
    x = norm(keras.layers.Dense(5, activation="relu")(inputs))
    network = tiny.with_weights(keras.Model(inputs, keras.layers.Dense(3)(x)), 0)
    norm.moving_variance.assign(np.ones(5))
    model = tiny.DQN(network)
    model.compile(optimizer=tiny.adam())
    learner = Learner(model)
    before = tiny.online(learner)
    learner.update(tiny.batch())
    learner.sync_target()
    after = tiny.online(learner)
    assert {n for n in after if np.all(after[n] == before[n])} == {
        f"norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    tiny.assert_same(tiny.target(learner), after)
