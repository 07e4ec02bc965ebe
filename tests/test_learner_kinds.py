"""Networks of many kinds: the compiled step is the step of Keras's `fit`."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_dqn
from tests import tiny
from tests import toys

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.compile failed"),
    # JAX computes in float32 where float64 is asked for.
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype"),
]
BACKEND = keras.config.backend()


def functional(*stack, **options):
    x = inputs = keras.Input((tiny.FEATURES,), **options)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(tiny.ACTIONS, name="q")(x))


def shared():
    dense = layers.Dense(tiny.FEATURES, "tanh", name="shared")
    return functional(dense, layers.Activation("tanh"), dense)


def nested():
    inner = keras.Sequential(
        [keras.Input((tiny.FEATURES,)), layers.Dense(4, "tanh"), layers.Dense(3)]
    )
    return functional(keras.Sequential([inner, layers.Dense(4)], name="outer"))


def shared_model():
    """One model on the observation and on its negative, as in a siamese network."""
    inner = keras.Sequential([keras.Input((tiny.FEATURES,)), layers.Dense(4, "tanh")])
    inputs = keras.Input((tiny.FEATURES,))
    x = layers.Concatenate()([inner(inputs), inner(-inputs)])
    return keras.Model(inputs, layers.Dense(tiny.ACTIONS)(x))


def attention():
    inputs = keras.Input((tiny.FEATURES,))
    x = layers.Reshape((-1, 1))(inputs)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(inputs, layers.Dense(tiny.ACTIONS)(layers.Flatten()(x)))


def embedded():
    """Each feature becomes one of three symbols."""
    inputs = keras.Input((tiny.FEATURES,))
    symbols = ops.cast(ops.clip(ops.round(inputs), -1, 1) + 1, "int32")
    x = layers.Embedding(3, 2, name="embedding")(symbols)
    return keras.Model(inputs, layers.Dense(tiny.ACTIONS)(layers.Flatten()(x)))


NETWORKS = {
    "shared layer": shared,
    "shared model": shared_model,
    "nested models": nested,
    "attention": attention,
    "embedding": embedded,
    "constraint": lambda: functional(
        layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.5), name="inner")
    ),
    "mixed_float16": lambda: functional(layers.Dense(4, dtype="mixed_float16")),
    "mixed_bfloat16": lambda: functional(layers.Dense(4, dtype="mixed_bfloat16")),
    "float64": lambda: functional(layers.Dense(4, dtype="float64"), dtype="float64"),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_learner_takes_the_steps_of_fit(kind):
    keras.utils.set_random_seed(0)
    network = NETWORKS[kind]()
    models = [keras_dqn.DQN(keras_dqn.models.copy_network(network)) for _ in range(2)]
    jit_compile = "auto" if BACKEND != "tensorflow" else False
    for model in models:
        model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=jit_compile)
    before = tiny.weights(models[0].network)
    models[0].fit(tiny.Dataset(tiny.batches(3)), verbose=0, shuffle=False)
    learner = keras_dqn.Learner(models[1])
    for batch in tiny.batches(3):
        update = learner.update(batch)
        assert {value.dtype.name for value in update} == {"float32"}
    found = tiny.online(learner)
    tiny.assert_all_differ(found, before)
    tiny.assert_same(found, tiny.weights(models[0].network), atol=1e-3)
    if kind == "constraint":
        name = next(name for name in found if name.endswith("inner/kernel"))
        assert np.linalg.norm(found[name], axis=0).max() < 0.5 + 1e-5


def sgd_learner(network, rate):
    # Greedy: the targets do not depend on the online network.
    model = keras_dqn.DQN(network, backup="greedy")
    model.compile(optimizer=keras.optimizers.SGD(rate))
    return keras_dqn.Learner(model)


@pytest.mark.parametrize(
    "kind", ["shared layer", "shared model", "nested models", "attention", "embedding"]
)
def test_a_step_goes_down_the_slope_of_the_loss(kind):
    network, batch = NETWORKS[kind](), tiny.batch()
    tiny.with_weights(network, 0)
    start = network.get_weights()
    moving = sgd_learner(network, 1.0)
    moving.update(batch)
    moving.sync_variables()
    step = [new - old for new, old in zip(network.get_weights(), start, strict=True)]
    network.set_weights(start)
    still = sgd_learner(network, 0.0)
    losses = []
    squares = sum(float(np.sum(np.square(each, dtype="float64"))) for each in step)
    size = 1e-2 / np.sqrt(squares)
    for sign in (1, -1):
        pairs = zip(start, step, strict=True)
        network.set_weights([old + sign * size * each for old, each in pairs])
        losses.append(float(still.update(batch).loss))
    assert losses[0] - losses[1] == pytest.approx(-2 * size * squares, rel=0.02)


def convolutional(data_format):
    inputs = keras.Input((12, 12, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    if data_format == "channels_first":
        x = layers.Permute((3, 1, 2))(x)
    x = layers.Conv2D(4, 3, activation="relu", data_format=data_format, name="c")(x)
    x = layers.GlobalAveragePooling2D(data_format=data_format)(x)
    return keras.Model(inputs, layers.Dense(3, name="q")(x))


def test_a_network_of_channels_first_takes_the_steps_of_channels_last():
    found = {}
    for data_format in ("channels_last", "channels_first"):
        network = tiny.with_weights(convolutional(data_format), 0)
        model = keras_dqn.DQN(network)
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        learner = keras_dqn.Learner(model)
        rng = np.random.default_rng(0)
        for batch in tiny.batches(2):
            batch["actions"] = batch["actions"] % 3
            for key in ("observations", "next_observations"):
                shape = (len(batch["actions"]), 12, 12, 3)
                batch[key] = rng.integers(256, size=shape, dtype="uint8")
            learner.update(batch)
        found[data_format] = tiny.online(learner)
    tiny.assert_same(*found.values(), atol=1e-5)


def test_an_embedding_learns_from_the_numbers_of_rooms():
    inputs = keras.Input((5,))
    room = ops.argmax(inputs, axis=-1)
    x = layers.Embedding(5, 2, embeddings_initializer="zeros", name="table")(room)
    agent = keras_dqn.DQNAgent(
        keras.Model(inputs, x), keras_dqn.UniformReplay(capacity=256, gamma=0.5)
    )
    agent.compile(optimizer=keras.optimizers.Adam(0.1))
    agent.fit(
        toys.ChainEnv,
        env_steps=800,
        vector_steps_per_iteration=4,
        batch_size=32,
        learning_starts_env_steps=64,
        target_sync_env_steps=32,
        epsilon_endpoints=((0, 1.0), (1, 1.0)),
        monitors=None,
        seed=0,
    )
    q_values = tiny.weights(agent.network)["table/embeddings"]
    right = 0.5 ** np.arange(3, -1, -1)
    np.testing.assert_allclose(q_values[:4, 1], right, atol=0.1)
