"""What `DQN` refuses when it is made."""

import keras
import pytest
from keras import layers

from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.dqn import DQN
from tests import tiny


def dense_model(*more):
    inputs = keras.Input((4,))
    x = layers.Dense(3)(inputs)
    for layer in more:
        x = layer(x)
    return keras.Model(inputs, x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize(
    "network",
    [Subclassed(), keras.Sequential([layers.Dense(2)]), layers.Dense(2), None],
)
def test_anything_but_a_functional_or_built_model_is_refused(network):
    with pytest.raises(TypeError, match="`network` must be a functional or a built"):
        DQN(network)


def test_two_outputs_or_two_inputs_are_refused():
    first, second = keras.Input((4,)), keras.Input((4,))
    dense = layers.Dense(2)
    two_outputs = keras.Model(first, [dense(first), layers.Dense(2)(first)])
    two_inputs = keras.Model([first, second], dense(layers.Add()([first, second])))
    for network, received in (
        (two_outputs, "1 inputs, 2 outputs"),
        (two_inputs, "2 inputs, 1 outputs"),
    ):
        with pytest.raises(ValueError, match=f"one input and one output.*{received}"):
            DQN(network)


@pytest.mark.parametrize("shape", [(3, 1), ()])
def test_an_output_that_is_no_matrix_is_refused(shape):
    network = dense_model(layers.Dense(3), layers.Reshape((3, 1)))
    if not shape:
        inputs = keras.Input((4,))
        network = keras.Model(inputs, keras.ops.sum(layers.Dense(2)(inputs), axis=-1))
    with pytest.raises(ValueError, match="shape `\\(batch, actions\\)`"):
        DQN(network)


def test_a_dictionary_of_outputs_is_refused_with_what_to_write():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, {"q": layers.Dense(2)(inputs)})
    with pytest.raises(ValueError, match=r"keras.Model\(network.inputs, network.outp"):
        DQN(network)
    DQN(keras.Model(network.inputs, network.outputs[0]))


def test_a_stateful_recurrent_layer_is_refused():
    inputs = keras.Input(batch_shape=(4, 3, 2))
    network = keras.Model(
        inputs, layers.Dense(2)(layers.LSTM(3, stateful=True)(inputs))
    )
    with pytest.raises(ValueError, match="state of its layer 'lstm.*stateful=False"):
        DQN(network)


@pytest.mark.parametrize("activation", ["softmax", "relu", "tanh"])
def test_an_activation_that_bounds_the_q_values_is_warned_of(activation):
    with pytest.warns(UserWarning, match=f"activation '{activation}'"):
        DQN(dense_model(layers.Dense(2, activation=activation, name="q")))


def test_a_network_with_nothing_to_train_is_refused():
    network = dense_model()
    network.trainable = False
    with pytest.raises(ValueError, match="must have trainable variables"):
        DQN(network)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_float8_scales_are_refused_by_name():
    network = dense_model(layers.Dense(2, name="q"))
    network.quantize("float8")
    with pytest.raises(ValueError, match=r"must not be quantized to float8.*q/kernel"):
        DQN(network)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1", None])
def test_a_huber_delta_that_is_no_positive_number_is_refused(value):
    with pytest.raises(ValueError, match="`huber_delta` must be a finite number"):
        Scalar(huber_delta=value)


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "10"])
def test_a_sync_period_that_is_no_positive_integer_is_refused(value):
    with pytest.raises(ValueError, match="`target_sync_updates` must be an integer"):
        DQN(tiny.network(), target_sync_updates=value)


@pytest.mark.parametrize("value", ["Double", None, 1, object()])
def test_a_backup_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="`backup` must be one of 'greedy', 'double'"):
        DQN(tiny.network(), backup=value)
