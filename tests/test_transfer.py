"""Bodies that someone else made, trained or frozen, under a dueling head."""

import functools

import keras
import numpy as np
import pytest
from keras import layers

import keras_dqn
from tests import tiny
from tests import toys

pytestmark = pytest.mark.filterwarnings("ignore:torch.compile failed")


def small(shape):
    """Convolution, batch normalization and dropout, as a model of its own."""
    inputs = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, data_format="channels_last")(x)
    x = layers.BatchNormalization(axis=-1)(x)
    x = layers.Dropout(0.2, seed=0)(layers.ReLU()(x))
    pooled = layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    return keras.Model(inputs, pooled)


def application(name, **options):
    def make(shape):
        return getattr(keras.applications, name)(
            input_shape=shape,
            include_top=False,
            weights=None,
            pooling="avg",
            **options,
        )

    return make


# Those of `keras.applications` take a minute to compile, but not what they contain.
BODIES = [
    pytest.param(small, (12, 12, 3), id="small"),
    *(
        pytest.param(
            application(name, **options), (32, 32, 3), id=name, marks=pytest.mark.slow
        )
        for name, options in {
            "MobileNetV2": {"alpha": 0.35},
            "MobileNetV3Small": {"minimalistic": True},
        }.items()
    ),
]


def agent_of(body, shape):
    inputs = keras.Input(shape, dtype="uint8")
    q_values = keras_dqn.models.dueling_head(body(inputs), 3, hidden_units=8, seed=0)
    network = keras.Model(inputs, q_values)
    agent = keras_dqn.DQNAgent(network, keras_dqn.UniformReplay(capacity=64))
    agent.compile(optimizer=keras.optimizers.Adam(1e-3))
    return agent


def fit(agent, shape):
    """Two gradient steps. Returns the weights before."""
    before = tiny.weights(agent.network)
    agent.fit(
        functools.partial(toys.ImageEnv, shape),
        env_steps=32,
        vector_steps_per_iteration=1,
        batch_size=4,
        learning_starts_env_steps=24,
        target_sync_env_steps=8,
        monitors=None,
        seed=0,
    )
    return before


def moved(agent, before):
    after = tiny.weights(agent.network)
    return {name for name in after if np.any(after[name] != before[name])}


def names(variables):
    return {variable.path for variable in variables}


@pytest.mark.parametrize(("make", "shape"), BODIES)
def test_a_body_is_trained_and_so_are_its_statistics(make, shape):
    keras.utils.set_random_seed(0)
    body = make(shape)
    agent = agent_of(body, shape)
    found = moved(agent, fit(agent, shape))
    assert names(agent.network.trainable_variables) <= found
    statistics = {each for each in names(body.variables) if "/moving_" in each}
    assert statistics and statistics <= found


@pytest.mark.parametrize(("make", "shape"), BODIES)
def test_a_frozen_body_stays_bit_for_bit(make, shape):
    keras.utils.set_random_seed(0)
    body = make(shape)
    body.trainable = False
    agent = agent_of(body, shape)
    found = moved(agent, fit(agent, shape))
    assert found & names(body.weights) == set()  # seeds of dropout are no weights
    assert names(agent.network.trainable_variables) <= found


def test_a_body_is_thawed_between_fits_with_a_new_optimizer():
    shape = (12, 12, 3)
    body = small(shape)
    body.trainable = False
    agent = agent_of(body, shape)
    fit(agent, shape)
    body.trainable = True
    batch = agent.replay.sample(4, np.random.default_rng(0)).batch
    agent.learner.q_values(batch["observations"])
    for use in (lambda: fit(agent, shape), lambda: agent.learner.update(batch)):
        before = tiny.weights(agent.network)
        with pytest.raises(ValueError, match=r"unfrozen: call `compile` again.*conv"):
            use()
        assert moved(agent, before) == set()
    agent.compile(optimizer=keras.optimizers.Adam(1e-3))
    found = moved(agent, fit(agent, shape))
    assert names(body.trainable_variables) <= found


def test_an_optimizer_from_before_the_thaw_is_refused():
    shape = (12, 12, 3)
    body = small(shape)
    body.trainable = False
    agent = agent_of(body, shape)
    optimizer = keras.optimizers.Adam(1e-3)
    agent.compile(optimizer=optimizer)
    fit(agent, shape)
    body.trainable = True
    agent.compile(optimizer=optimizer)
    with pytest.raises(ValueError, match="must be a new one after layers were unfroz"):
        fit(agent, shape)
