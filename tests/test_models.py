"""The networks: shapes, parameters, initial weights, dueling, saved files."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_dqn import models
from keras_dqn.exploration import epsilon_greedy
from tests import reference
from tests import tiny

ROOT_2 = 2**0.5
GAINS = {
    "conv1": ROOT_2,
    "conv2": ROOT_2,
    "conv3": ROOT_2,
    "advantage_hidden": ROOT_2,
    "value_hidden": ROOT_2,
    "advantage_scores": 0.01,
    "value_score": 1.0,
}


@pytest.fixture(scope="module")
def cnn():
    return models.dueling_cnn(num_actions=4, seed=0)


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(5, 84, 84, 4), dtype=np.uint8)


def outputs_of(model, observations):
    outputs = model(ops.convert_to_tensor(observations))
    return [ops.convert_to_numpy(output) for output in outputs]


def test_uint8_frames_of_any_batch_size_give_float32_q_values(cnn, frames):
    assert cnn.input_shape == (None, 84, 84, 4)
    assert cnn.inputs[0].dtype == "uint8"
    assert cnn.output_shape == (None, 4)
    for count in (1, 5):
        q_values = tiny.q_values_of(cnn, frames[:count])
        assert q_values.shape == (count, 4)
        assert q_values.dtype == "float32"
        assert np.all(np.isfinite(q_values))


def test_pixels_are_divided_by_255_inside_the_model(cnn):
    white = np.full((1, 84, 84, 4), 255, np.uint8)
    conv1 = cnn.get_layer("conv1")
    kernel = ops.convert_to_numpy(conv1.kernel)
    output = tiny.q_values_of(keras.Model(cnn.input, conv1.output), white)
    # All pixels are 1.0 after the division: each output is the kernel's sum.
    expected = np.maximum(kernel.sum(axis=(0, 1, 2), dtype="float64"), 0.0)
    np.testing.assert_allclose(output[0, 7, 7], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("conv1", (None, 20, 20, 32)),
        ("conv2", (None, 9, 9, 64)),
        ("conv3", (None, 7, 7, 64)),
        ("flatten", (None, 3136)),
        ("advantage_hidden", (None, 256)),
        ("advantage_scores", (None, 4)),
        ("value_hidden", (None, 256)),
        ("value_score", (None, 1)),
    ],
)
def test_each_layer_has_the_shape_of_the_reference(cnn, layer, shape):
    assert cnn.get_layer(layer).output.shape == shape


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        ("conv1", 8_224),
        ("conv2", 32_832),
        ("conv3", 36_928),
        ("advantage_hidden", 803_072),
        ("advantage_scores", 1_028),
        ("value_hidden", 803_072),
        ("value_score", 257),
    ],
)
def test_each_layer_has_the_parameters_of_the_reference(cnn, layer, count):
    assert cnn.get_layer(layer).count_params() == count


def test_there_are_1685413_parameters_in_14_tensors(cnn):
    assert cnn.count_params() == 1_685_413
    assert len(cnn.trainable_variables) == len(cnn.variables) == 14


def test_both_hidden_layers_are_fed_by_the_flattened_features(cnn):
    flat = cnn.get_layer("flatten").output
    for name in ("advantage_hidden", "value_hidden"):
        assert cnn.get_layer(name).input is flat


@pytest.mark.parametrize("layer", GAINS)
def test_kernels_are_orthogonal_with_their_gains_and_biases_zero(cnn, layer):
    layer, gain = cnn.get_layer(layer), GAINS[layer]
    kernel = ops.convert_to_numpy(layer.kernel).astype("float64")
    flat = kernel.reshape(-1, kernel.shape[-1])
    expected = gain**2 * np.eye(flat.shape[-1])
    np.testing.assert_allclose(flat.T @ flat, expected, atol=3e-6 * gain**2)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.bias), 0.0)


def test_q_minus_v_has_zero_mean_over_the_actions():
    network = tiny.network()
    both = keras.Model(
        network.input, [network.output, network.get_layer("value_score").output]
    )
    q_values, value = outputs_of(both, tiny.batch()["observations"])
    assert np.ptp(q_values, axis=1).min() > 0.01  # not all advantages are zero
    np.testing.assert_allclose((q_values - value).mean(axis=1), 0.0, atol=1e-6)


def test_a_constant_added_to_all_advantages_leaves_q_as_it_was():
    network, observations = tiny.network(), tiny.batch()["observations"]
    before = tiny.q_values_of(network, observations)
    bias = network.get_layer("advantage_scores").bias
    bias.assign(ops.convert_to_numpy(bias) + 5.0)
    after = tiny.q_values_of(network, observations)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_constant_added_to_the_value_is_added_to_all_q():
    network, observations = tiny.network(), tiny.batch()["observations"]
    before = tiny.q_values_of(network, observations)
    bias = network.get_layer("value_score").bias
    bias.assign(ops.convert_to_numpy(bias) + 5.0)
    after = tiny.q_values_of(network, observations)
    np.testing.assert_allclose(after, before + 5.0, atol=1e-5)


def test_the_dueling_mlp_equals_its_float64_twin():
    network, observations = tiny.network(), tiny.batch()["observations"]
    expected = tiny.twin(network)(observations)
    np.testing.assert_allclose(
        tiny.q_values_of(network, observations), expected, rtol=1e-5, atol=1e-5
    )


def test_dueling_aggregation_has_the_values_worked_out_by_hand():
    # V = 10, A = 1, 2, 6, mean 3.
    np.testing.assert_array_equal(
        reference.dueling([[10.0]], [[1.0, 2.0, 6.0]]), [[8.0, 9.0, 13.0]]
    )
    inputs = keras.Input((1,))
    model = keras.Model(inputs, models.dueling_head(inputs, 3, 1))
    names = [v.path for v in model.weights]
    given = {
        "value_hidden/kernel": [[1]],
        "value_score/bias": [10],
        "advantage_scores/bias": [1, 2, 6],
    }
    model.set_weights(
        [
            np.float32(given.get(n, 0)) * np.ones(w.shape)
            for n, w in zip(names, model.weights, strict=True)
        ]
    )
    q_values = tiny.q_values_of(model, np.ones((1, 1), "float32"))
    np.testing.assert_array_equal(q_values, [[8.0, 9.0, 13.0]])


def test_epsilon_greedy_takes_one_of_the_actions_for_each_observation(cnn, frames):
    q_values = tiny.q_values_of(cnn, frames)
    actions = epsilon_greedy(q_values, 0.5, np.random.default_rng(0))
    assert actions.shape == (5,)
    assert set(actions) <= {0, 1, 2, 3}
    greedy = epsilon_greedy(q_values, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(greedy, q_values.argmax(axis=1))


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: models.dueling_mlp(3, (4,), (5, 4), seed=seed),
        lambda seed: models.dueling_cnn(2, (36, 36, 1), 4, seed=seed),
    ],
)
def test_a_seed_fixes_the_weights_and_another_one_changes_them(build):
    first, again, other = (tiny.weights(build(seed)) for seed in (5, 5, 6))
    tiny.assert_same(first, again)
    kernels = [name for name in first if "kernel" in name]
    for name in kernels:
        assert np.any(first[name] != other[name]), name


@pytest.mark.parametrize("seed", [0, 5, None])
def test_the_two_hidden_layers_of_the_head_start_unequal(seed):
    weights = tiny.weights(models.dueling_mlp(3, (4,), (5, 4), seed=seed))
    difference = weights["value_hidden/kernel"] - weights["advantage_hidden/kernel"]
    assert np.abs(difference).max() > 0.01


def test_the_mlp_has_the_layers_that_it_is_asked_for():
    network = models.dueling_mlp(2, (3, 2), (16, 12, 8))
    assert network.input_shape == (None, 3, 2)
    assert network.output_shape == (None, 2)
    shapes = {name: w.shape for name, w in tiny.weights(network).items()}
    assert shapes["dense1/kernel"] == (6, 16)
    assert shapes["dense2/kernel"] == (16, 12)
    assert shapes["value_hidden/kernel"] == shapes["advantage_hidden/kernel"] == (12, 8)
    shallow = models.dueling_mlp(2, (3,), (8,))
    assert tiny.weights(shallow)["value_hidden/kernel"].shape == (3, 8)


def test_the_head_fits_a_body_of_the_callers_own():
    inputs = keras.Input((6, 2))
    body = layers.GlobalAveragePooling1D()(layers.Dense(5)(inputs))
    model = keras.Model(inputs, models.dueling_head(body, 3, 7, seed=1))
    assert tiny.q_values_of(model, np.ones((2, 6, 2), "float32")).shape == (2, 3)
    assert model.get_layer("value_hidden").units == 7


def test_one_action_has_the_q_of_the_state():
    network = models.dueling_mlp(1, (4,), (5, 4), seed=0)
    both = keras.Model(
        network.input, [network.output, network.get_layer("value_score").output]
    )
    q_values, value = outputs_of(both, np.ones((3, 4), "float32"))
    np.testing.assert_allclose(q_values, value, atol=1e-7)


def test_the_number_of_actions_may_be_numpys_as_gymnasium_has_it():
    network = models.dueling_mlp(np.int64(3), (4,), (5, 4))
    assert network.output_shape == (None, 3)
    json.loads(network.to_json())


@pytest.mark.parametrize("num_actions", [0, -1])
def test_less_than_one_action_is_refused(num_actions):
    inputs = keras.Input((2,))
    for build in (
        lambda: models.dueling_cnn(num_actions),
        lambda: models.dueling_mlp(num_actions, (2,)),
        lambda: models.dueling_head(inputs, num_actions),
    ):
        with pytest.raises(ValueError, match=f"at least 1.*num_actions={num_actions}"):
            build()


@pytest.mark.parametrize("num_actions", [2.5, 4.0, True, "4", None])
def test_a_number_of_actions_that_is_no_integer_is_refused(num_actions):
    with pytest.raises(ValueError, match="`num_actions` must be an integer"):
        models.dueling_mlp(num_actions, (2,))


@pytest.mark.parametrize("shape", [(84, 84), (35, 84, 4), (84, 35, 4), (4, 84, 84)])
def test_frames_which_the_convolutions_do_not_fit_into_are_refused(shape):
    with pytest.raises(ValueError, match="`input_shape` must be .*Received"):
        models.dueling_cnn(4, input_shape=shape)


def test_frames_of_36_are_the_smallest_that_fit():
    network = models.dueling_cnn(2, (36, 36, 1), 4)
    assert network.get_layer("conv3").output.shape == (None, 1, 1, 64)


@pytest.mark.parametrize("units", [(), [], 64])
def test_hidden_units_that_name_no_layer_are_refused(units):
    with pytest.raises(ValueError, match="`hidden_units` must be a sequence"):
        models.dueling_mlp(2, (4,), hidden_units=units)


def test_features_that_are_not_flat_are_refused():
    with pytest.raises(ValueError, match=r"`features` must have .*\(None, 7, 7, 64\)"):
        models.dueling_head(keras.Input((7, 7, 64)), 4)
