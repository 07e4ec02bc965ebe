"""A copied network computes the same function, and goes on doing so when synced."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_dqn.models import copy_check
from keras_dqn.models import copying
from tests import tiny

BACKEND = keras.config.backend()


def functional(*stack, shape=(4,), dtype="float32", actions=3):
    """The layers one after the other, and Q-values at the end."""
    x = inputs = keras.Input(shape, dtype=dtype)
    for layer in stack:
        x = layer(x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(actions)(x))


def adapted(**options):
    norm = layers.Normalization(**options)
    norm.adapt(np.arange(1000.0, 1032.0, dtype="float32").reshape(8, 4))
    return norm


class Scale(layers.Layer):
    """Unregistered. What `set_later` is does not stand in its configuration."""

    set_later = 1.0

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.shift = self.add_weight(shape=(shape[-1],), trainable=False)

    def call(self, x):
        return x * self.scale * self.set_later + self.shift


class Doubled(layers.Layer):
    """Without variables."""

    factor = 2.0

    def call(self, x):
        return self.factor * x


class Block(layers.Layer):
    """Makes layers of its own, whose names Keras counts up."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.parts = [layers.Dense(units), layers.BatchNormalization()]
        self.norm = layers.Normalization()

    def build(self, shape):
        self.norm.adapt(np.arange(32.0, dtype="float32").reshape(8, 4))
        for part in self.parts:
            part.build(shape)

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)

    def call(self, x, training=None):
        x = self.norm(x)
        for part in self.parts:
            x = part(x, training=training)
        return x


def changed(layer, **attributes):
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def lora():
    network = functional(layers.Dense(4, name="lora"), layers.Dense(4))
    network.get_layer("lora").enable_lora(2, lora_alpha=5.0)
    return network


def quantized(mode):
    network = functional(layers.Dense(8), layers.Dense(8))
    network.quantize(mode)
    return network


def shared_twice():
    dense = layers.Dense(4, "tanh")
    return functional(dense, layers.ReLU(), dense)


def nested():
    inner = keras.Sequential([adapted(), layers.Dense(4), layers.Dropout(0.5)])
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, inner(inputs) * 2.0)
    return functional(outer, layers.Dense(4))


def nested_and_shared():
    network = nested()
    inner = network.layers[1].layers[1]
    return functional(network.layers[1], layers.Dense(4), inner)


def frozen():
    network = functional(
        layers.Dense(4, name="frozen"), layers.BatchNormalization(name="norm")
    )
    network.get_layer("frozen").trainable = False
    network.get_layer("norm").gamma.trainable = False
    return network


def frozen_inside():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
    inner.trainable = False
    return functional(inner, layers.Dense(4))


def stateful():
    inputs = keras.Input(batch_shape=(2, 5, 4))
    x = layers.LSTM(3, stateful=True)(inputs)
    return keras.Model(inputs, layers.Dense(2)(x))


def compiled():
    network = functional(layers.Dense(4))
    network.compile("adam", loss=lambda y_true, y_pred: ops.mean(y_pred))
    return network


def with_operations():
    inputs = keras.Input((4,))
    x = ops.concatenate([inputs, inputs / 3.0], axis=-1)[:, 1:] ** 2
    return keras.Model(inputs, layers.Dense(2)(x))


NETWORKS = {
    "dueling": tiny.network,
    "dueling cnn": lambda: tiny.models.dueling_cnn(2, (36, 36, 1), 4),
    "normalization": lambda: functional(adapted()),
    "normalization in mixed precision": lambda: functional(
        adapted(dtype="mixed_bfloat16")
    ),
    "normalization by constants": lambda: functional(
        layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 1.0, 2.0, 3.0])
    ),
    "frozen normalization": lambda: functional(changed(adapted(), trainable=False)),
    "wrapped normalization": lambda: functional(
        layers.TimeDistributed(adapted()), shape=(3, 4)
    ),
    "lambda": lambda: functional(layers.Lambda(lambda x: x / 4.8 + np.float32(1))),
    "lambda in a wrapper": lambda: functional(
        layers.TimeDistributed(layers.Lambda(lambda x: x / 4.8)), shape=(3, 4)
    ),
    "attribute set later": lambda: functional(changed(Scale(), set_later=3.0)),
    "attribute set later, no variables": lambda: functional(
        changed(Doubled(), factor=7.0)
    ),
    "activation set later": lambda: functional(
        changed(layers.Dense(4), activation=lambda x: ops.tanh(x) * 3)
    ),
    "custom": lambda: functional(Block()),
    "custom in a wrapper": lambda: functional(
        layers.TimeDistributed(Block()), shape=(3, 4)
    ),
    "shared": shared_twice,
    "nested": nested,
    "nested and shared": nested_and_shared,
    "sequential": lambda: keras.Sequential(
        [keras.Input((4,)), adapted(), layers.Dense(4, "relu"), layers.Dense(2)]
    ),
    "batch normalization": lambda: functional(
        layers.Dense(4), layers.BatchNormalization()
    ),
    "spectral normalization": lambda: functional(
        layers.SpectralNormalization(layers.Dense(4))
    ),
    "layer normalization": lambda: functional(layers.LayerNormalization()),
    "dropout": lambda: functional(layers.Dropout(0.5), layers.GaussianNoise(1.0)),
    "lstm": lambda: functional(layers.LSTM(3, recurrent_dropout=0.5), shape=(5, 4)),
    "gru": lambda: functional(layers.GRU(3), shape=(None, 4)),
    "simple rnn": lambda: functional(layers.SimpleRNN(3), shape=(5, 4)),
    "bidirectional": lambda: functional(
        layers.Bidirectional(layers.LSTM(3)), shape=(5, 4)
    ),
    "attention": lambda: functional(
        changed_call(layers.MultiHeadAttention(2, 3, dropout=0.1)), shape=(5, 4)
    ),
    "embedding": lambda: functional(layers.Embedding(7, 3), shape=(5,), dtype="int32"),
    "embedding of floats": lambda: functional(layers.Embedding(1, 3), shape=(5,)),
    "embedding of bytes": lambda: functional(
        layers.Embedding(7, 3), shape=(5,), dtype="uint8"
    ),
    "time distributed": lambda: functional(
        layers.TimeDistributed(layers.Dense(3)), shape=(5, 4)
    ),
    "images of any size": lambda: functional(
        layers.Rescaling(1 / 255),
        layers.Conv2D(3, 8, 4),
        layers.GlobalAveragePooling2D(),
        shape=(None, None, 3),
        dtype="uint8",
    ),
    "regularized": lambda: functional(
        layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1"),
        layers.ActivityRegularization(0.1),
    ),
    "lora": lora,
    "int8": lambda: quantized("int8"),
    "int4": lambda: quantized("int4"),
    "mixed precision": lambda: functional(
        layers.Dense(4, dtype="mixed_bfloat16"), layers.Dense(4, dtype="float16")
    ),
    "bfloat16": lambda: functional(layers.Dense(4, dtype="bfloat16"), dtype="bfloat16"),
    "frozen": frozen,
    "frozen inside": frozen_inside,
    "compiled": compiled,
    "operations": with_operations,
}


def changed_call(layer):
    """A layer that is called as `layer(x, x)`."""
    inputs = keras.Input((5, 4))
    return keras.Model(inputs, layer(inputs, inputs))


def random_inputs(network, seed):
    (tensor,) = network.inputs
    rng = np.random.default_rng(seed)
    shape = [size or 40 for size in tensor.shape]
    if keras.backend.is_float_dtype(tensor.dtype):
        return rng.uniform(-1, 1, shape).astype("float32")
    return rng.integers(2, size=shape).astype(tensor.dtype)


def outputs(network, seed=1):
    value = network(random_inputs(network, seed), training=False)
    return ops.convert_to_numpy(value).astype("float32")


def assert_close(actual, expected):
    """Equal but for rounding: a kernel may sum in another order elsewhere in memory."""
    limit = copy_check.TOLERANCE * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


def variables(network):
    return [np.array(ops.convert_to_numpy(each.value)) for each in network.variables]


def train(network, seed=2):
    """Sets other weights, as training would: only those that an optimizer changes."""
    rng = np.random.default_rng(seed)
    for each in network.trainable_variables:
        each.assign(rng.normal(size=each.shape))


@pytest.fixture(params=NETWORKS)
def network(request):
    keras.utils.set_random_seed(0)
    return NETWORKS[request.param]()


def test_a_copy_computes_the_same_and_follows_when_synced(network):
    copy = copying.copy_network(network)
    before = outputs(network)
    assert_close(outputs(copy), before)
    assert_correspond(copy, network)
    train(network)
    assert_close(outputs(copy), before)
    moved = np.abs(outputs(network) - before).max()
    assert moved > 10 * copy_check.TOLERANCE * np.abs(before).max()
    copy_check.assign(copy, copy_check.values_of(network))
    assert_close(outputs(copy), outputs(network))


def assert_correspond(copy, network):
    """Variable by variable: values, kinds and what is trained."""
    for ours, theirs in zip(copy.variables, network.variables, strict=True):
        assert ours is not theirs
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert ours.trainable == theirs.trainable
    for ours, theirs in zip(variables(copy), variables(network), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kept = [v.shape for v in network.trainable_variables]
    assert [v.shape for v in copy.trainable_variables] == kept


def settings(network):
    """Whatever of a network can be seen besides the values of its variables."""
    return (
        keras.saving.serialize_keras_object(network)["config"],
        [variable.trainable for variable in network.variables],
        network.compiled,
    )


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_target_network_trains_nothing_and_the_network_is_left_as_it_was(network):
    before, seen = variables(network), settings(network)
    copy = copying.copy_network(network, trainable=False)
    assert copy.trainable_variables == []
    assert settings(network) == seen
    for ours, theirs in zip(variables(network), before, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", ["nested", "sequential", "dueling cnn", "gru"])
def test_a_copy_is_saved_and_opened_with_keras_alone(tmp_path, name):
    copy = copying.copy_network(NETWORKS[name]())
    copy.save(tmp_path / "copy.keras")
    opened = keras.saving.load_model(tmp_path / "copy.keras")
    assert_close(outputs(opened), outputs(copy))


def test_copies_are_freed_though_the_network_lives_on():
    network = tiny.network()
    copy = weakref.ref(copying.copy_network(network))
    gc.collect()
    assert copy() is None


def test_a_copy_of_a_copy_is_one_too():
    network = nested()
    copy = copying.copy_network(copying.copy_network(network))
    assert_close(outputs(copy), outputs(network))


def test_a_copy_is_trained_by_keras_without_the_original():
    network = functional(adapted(), layers.Dense(4), layers.BatchNormalization())
    before = variables(network)
    copy = copying.copy_network(network)
    copy.compile("adam", "mse")
    x = random_inputs(network, 0)
    copy.fit(x, np.ones((len(x), 3)), epochs=2, verbose=0)
    for ours, theirs in zip(variables(network), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.any(outputs(copy) != outputs(network))


class NeedsAnObject(layers.Layer):
    """Its constructor takes what no configuration holds."""

    def __init__(self, thing, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


class Hidden(layers.Layer):
    """Its output depends on what neither configuration nor variables hold."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.offset = ops.zeros(shape[-1])

    def call(self, x):
        return x * self.weight + self.offset


class Sharing(layers.Layer):
    """Takes a layer from outside and calls it without owning it."""

    def __init__(self, function=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x) + self.function(x)

    def get_config(self):
        return {**super().get_config(), "function": self.function}


def hidden():
    layer = Hidden(name="hidden")
    network = functional(layers.Dense(4, name="dense"), layer)
    layer.offset = ops.ones(4)
    return network


def sharing():
    outside = layers.Dense(3)
    outside.build((None, 4))
    return functional(Sharing(lambda x: outside(x), name="sharing"))


def wrapped_lambda():
    inner = keras.Sequential([layers.Lambda(lambda x: x / 4.8), layers.Dense(3)])
    return functional(layers.TimeDistributed(inner), shape=(3, 4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: functional(NeedsAnObject(object())), "NeedsAnObject"),
        (hidden, "gives different outputs, from layer 'hidden' \\(Hidden\\) on"),
        (wrapped_lambda, "Lambda"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_what_to_do(make, words):
    network = make()
    before = variables(network)
    with pytest.raises(ValueError, match=f"(?s)cannot be copied.*{words}.*get_config"):
        copying.copy_network(network)
    for ours, theirs in zip(variables(network), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_state_that_is_in_no_variable_is_refused():
    with pytest.raises(ValueError, match="outputs differ when it runs.*stateful=True"):
        copying.copy_network(stateful())


def test_a_copy_that_does_not_follow_the_weights_is_refused():
    network = functional(layers.Dense(4, name="cached"))
    copy = copying.copy_network(network)
    cached = copy.get_layer("cached")
    fixed = ops.copy(cached.kernel.value)
    cached.call = lambda x, training=None: ops.matmul(x, fixed) + cached.bias
    with pytest.raises(ValueError, match="keeps its old weights.*from layer 'cached'"):
        copy_check.check_copy(network, copy)


def test_a_copy_that_uses_weights_of_the_network_is_refused():
    network = functional(layers.Dense(4, name="mine"))
    copy = copying.copy_network(network)
    copy.get_layer("mine").call = network.get_layer("mine").call
    with pytest.raises(ValueError, match="uses the original.s weights"):
        copy_check.check_copy(network, copy)


class Draws(layers.Layer):
    """Draws in inference too, and so moves its seed in each forward pass."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(3)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed_generator)


def test_a_layer_that_always_draws_is_copied_with_its_seed():
    network = functional(Draws(), layers.Dense(4))
    before = variables(network)
    copy = copying.copy_network(network)
    for each in (network, copy):
        for ours, theirs in zip(variables(each), before, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert_close(outputs(copy), outputs(network))


class Picky(layers.Layer):
    """Does not run on the numbers of the check."""

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        if np.any(ops.convert_to_numpy(x) < 5):
            raise ValueError("less than 5")
        return x


def test_a_network_that_random_inputs_do_not_suit_is_copied_with_a_warning():
    network = functional(Picky(), layers.Dense(4))
    with pytest.warns(UserWarning, match="(?s)could not be checked.*less than 5"):
        copy = copying.copy_network(network)
    x = np.full((2, 4), 7.0, "float32")
    q_values = tiny.q_values_of(network, x)
    assert_close(tiny.q_values_of(copy, x), q_values)
