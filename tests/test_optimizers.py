"""Every optimizer of Keras, by its name: it trains, and its state is resumed."""

import keras
import numpy as np
import pytest

import keras_dqn
from tests import tiny
from tests import toys

NAMES = sorted(
    name.lower()
    for name, each in vars(keras.optimizers).items()
    if isinstance(each, type)
    and issubclass(each, keras.optimizers.Optimizer)
    and each is not keras.optimizers.Optimizer
)
WRAPPERS = {"lossscaleoptimizer", "multioptimizer"}


def test_the_names_are_those_of_keras():
    assert {"adam", "adamw", "nadam", "adamax", "adagrad", "adadelta"} <= set(NAMES)
    assert {"rmsprop", "sgd", "ftrl", "lion", "lamb", "muon", "adafactor"} <= set(NAMES)
    print(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - WRAPPERS))
def test_an_optimizer_is_resumed_bit_for_bit(name):
    many = tiny.batches(4)
    whole = tiny.learner(keras.optimizers.get(name))
    before = tiny.online(whole)
    for batch in many[:2]:
        whole.update(batch)
    state = whole.state_dict()
    resumed = tiny.learner(keras.optimizers.get(name), seed=1)
    resumed.load_state_dict(state)
    for each in (whole, resumed):
        for batch in many[2:]:
            each.update(batch)
    tiny.assert_same(resumed.state_dict(), whole.state_dict())
    after = tiny.online(whole)
    tiny.assert_all_differ(after, before)
    assert all(np.all(np.isfinite(each)) for each in after.values())


@pytest.mark.parametrize("name", sorted(set(NAMES) - WRAPPERS))
def test_an_agent_and_fit_take_it_by_name(name):
    fitted = tiny.model(name)
    before = tiny.weights(fitted.network)
    fitted.fit(tiny.Dataset(tiny.batches(2)), verbose=0, shuffle=False)
    learner = tiny.learner(keras.optimizers.get(name))
    for batch in tiny.batches(2):
        learner.update(batch)
    found = tiny.weights(fitted.network)
    tiny.assert_all_differ(found, before)
    tiny.assert_same(tiny.online(learner), found, atol=1e-5)
