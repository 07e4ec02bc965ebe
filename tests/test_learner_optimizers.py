"""Whatever shortcut a backend takes, a step is that of the Keras optimizer."""

import keras
import numpy as np
import pytest

from tests import tiny


class PlainAdam(keras.optimizers.Adam):
    """Adam by Keras's own operations: a subclass might do anything else."""


OPTIONS = [
    {},
    {"loss_scale_factor": 1024.0, "epsilon": 1e-2},
    {"clipnorm": 0.0},
    {"clipnorm": None},
    {"clipnorm": None, "clipvalue": 0.1},
    {"clipnorm": None, "global_clipnorm": 0.1},
    {"amsgrad": True},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"beta_1": 0.5, "beta_2": 0.6},
]


def trained(optimizer):
    learner = tiny.learner(optimizer)
    for batch in tiny.batches(3):
        learner.update(batch)
    return tiny.online(learner)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: ",".join(o) or "default")
def test_adam_is_adam_with_every_option(options):
    options = {"learning_rate": 1e-2, "clipnorm": 0.5, **options}
    found = trained(keras.optimizers.Adam(**options))
    expected = trained(PlainAdam(**options))
    tiny.assert_same(found, expected, atol=1e-5)


def test_a_learning_rate_may_be_a_schedule():
    def schedule():
        return keras.optimizers.schedules.ExponentialDecay(1e-1, 1, 0.5)

    found = trained(keras.optimizers.Adam(schedule()))
    tiny.assert_same(found, trained(PlainAdam(schedule())), atol=1e-5)


def deep():
    inputs = keras.Input((tiny.FEATURES,))
    x = inputs
    for number in range(3):
        x = keras.layers.Dense(4, "tanh", name=f"d{number}")(x)
    network = keras.Model(inputs, keras.layers.Dense(tiny.ACTIONS, name="q")(x))
    return tiny.with_weights(network, 0)


def frozen_on_the_way(optimizer):
    network = deep()
    for freeze in (False, True):
        network.get_layer("d1").trainable = not freeze
        model = tiny.DQN(network)
        model.compile(optimizer=optimizer)
        learner = tiny.Learner(model)
        for batch in tiny.batches(3):
            learner.update(batch)
        learner.sync_variables()
    return tiny.weights(network)


def test_each_weight_keeps_its_own_slots_when_others_are_frozen():
    if keras.config.backend() == "jax":  # Keras's own refusal
        with pytest.raises(ValueError, match="1:1 to the trainable variables list"):
            frozen_on_the_way(tiny.adam())
        return
    found = frozen_on_the_way(tiny.adam())
    expected = frozen_on_the_way(
        PlainAdam(learning_rate=1e-2, epsilon=1e-8, clipnorm=0.5)
    )
    tiny.assert_same(found, expected, atol=1e-5)


class WithSpare(keras.layers.Dense):
    """A layer with a weight that its output does not depend on."""

    def build(self, input_shape):
        super().build(input_shape)
        self.spare = self.add_weight(shape=(2,), name="spare")


def test_a_weight_that_nothing_depends_on_stays_and_the_others_learn():
    inputs = keras.Input((tiny.FEATURES,))
    layer = WithSpare(tiny.ACTIONS, name="q")
    model = tiny.DQN(keras.Model(inputs, layer(inputs)))
    model.compile(optimizer=tiny.adam())
    learner = tiny.Learner(model)
    before = tiny.weights(model.network)
    learner.update(tiny.batch())
    learner.sync_variables()
    after = tiny.weights(model.network)
    np.testing.assert_array_equal(after["q/spare"], before["q/spare"])
    assert np.any(after["q/kernel"] != before["q/kernel"])
