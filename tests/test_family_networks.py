"""Networks of every body and head: shapes, weights, and their plain twins."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_dqn import models
from keras_dqn.algorithms.categorical import Categorical
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.quantiles import Quantiles
from keras_dqn.models.bodies import BODIES

HEADS = {
    "scalar": (Scalar(), None),
    "categorical": (Categorical(7, -1.0, 3.0), 7),
    "quantiles": (Quantiles(5), 5),
}
SHAPE = (36, 36, 2)


def network_of(body="mlp", head="scalar", **options):
    shape = (6,) if body == "mlp" else SHAPE
    options = {"hidden_units": 8, "seed": 1, **options}
    return models.q_network(
        3, shape, body=body, outputs_per_action=HEADS[head][1], **options
    )


def observations(network, count=4):
    shape = (count, *network.input_shape[1:])
    rng = np.random.default_rng(0)
    if len(shape) == 4:
        return rng.integers(0, 256, shape).astype("uint8")
    return rng.normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "body, head, dueling",
    [
        *[("mlp", head, dueling) for head in HEADS for dueling in (True, False)],
        *[(body, "quantiles", True) for body in BODIES],
    ],
)
def test_every_body_goes_with_every_head(body, head, dueling):
    network = network_of(body, head, dueling=dueling)
    outputs = ops.convert_to_numpy(network(observations(network)))
    size = HEADS[head][1]
    assert outputs.shape == ((4, 3) if size is None else (4, 3, size))
    assert outputs.dtype == np.float32 and np.isfinite(outputs).all()
    if body != "impala":  # its copy takes seconds
        assert models.copy_network(network).count_params() == network.count_params()


@pytest.mark.parametrize(
    "body, width, features, weights",
    (
        ("nature", 1, 3136, 0),
        ("data_efficient", 1, 576, 0),
        ("impala", 1, 11 * 11 * 32, 0),
        ("impala", 2, 6 * 6 * 64, 389_024),
    ),
)
def test_the_sizes_of_the_papers(body, width, features, weights):
    network = models.q_network(4, body=body, body_width=width, hidden_units=4)
    hidden = network.get_layer("value_hidden")
    assert hidden.kernel.shape[0] == features
    if width == 2:
        own = [each for each in network.layers if "stage" in each.name]
        assert sum(each.count_params() for each in own) == weights


def test_equal_seeds_give_equal_weights_and_layers_differ():
    one, two = network_of("impala"), network_of("impala")
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [w for w in one.get_weights() if w.shape == (3, 3, 32, 32)]
    assert len(kernels) > 2 and len({k.tobytes() for k in kernels}) == len(kernels)


def test_the_networks_of_the_presets_are_compositions():
    ours = models.q_network(3, SHAPE, hidden_units=8, seed=5)
    preset = models.dueling_cnn(3, SHAPE, 8, seed=5)
    for a, b in zip(ours.get_weights(), preset.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_dueling_head_centres_over_actions_for_each_number_by_itself():
    # Worked out by hand: logits [[-.05, .40, 0], [.45, -.60, .80]].
    features = keras.Input((1,))
    outputs = models.dueling_head(features, 2, 1, outputs_per_action=3)
    network = keras.Model(features, outputs)
    value, advantages = [0.2, -0.1, 0.4], [0.5, 0.0, -0.5, 1.0, -1.0, 0.3]
    for name, bias in (("value_score", value), ("advantage_scores", advantages)):
        layer = network.get_layer(name)
        layer.set_weights([np.zeros(layer.kernel.shape), np.array(bias)])
    outputs = network(np.zeros((1, 1), "float32"))
    expected = [[[-0.05, 0.4, 0.0], [0.45, -0.6, 0.8]]]
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, atol=1e-6)
    q_values = Categorical(3, -1.0, 1.0).mean(outputs)
    expected = [[0.01416492, 0.15134227]]
    np.testing.assert_allclose(ops.convert_to_numpy(q_values), expected, atol=1e-6)


def plain_twin(network, head):
    return keras.Model(network.inputs[0], HEADS[head][0].plain(network.outputs[0]))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("body", ("nature", "mlp"))
def test_the_plain_twin_has_the_q_values_and_opens_with_keras_alone(
    tmp_path, body, head
):
    network = network_of(body, head)
    twin, given = plain_twin(network, head), observations(network)
    expected = ops.convert_to_numpy(HEADS[head][0].mean(network(given)))
    np.testing.assert_allclose(ops.convert_to_numpy(twin(given)), expected, atol=1e-5)
    path = tmp_path / "twin.keras"
    twin.save(path)
    loaded = models.load_network(path)
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(given)), expected, atol=1e-5)
    if body == "mlp":
        np.save(tmp_path / "given.npy", given)
        np.save(tmp_path / "expected.npy", expected)
        subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True)


ALONE = """
import sys
sys.modules["keras_dqn"] = None  # cannot be imported
import keras, numpy as np
network = keras.saving.load_model("twin.keras")
found = keras.ops.convert_to_numpy(network(np.load("given.npy")))
np.testing.assert_allclose(found, np.load("expected.npy"), atol=1e-5)
"""


@pytest.mark.parametrize(
    "options",
    (
        {"body": "resnet"},
        {"body_width": 0},
        {"hidden_units": 8, "outputs_per_action": 0},
        {"observation_shape": (35, 36, 4)},
        {"observation_shape": (7, 7, 4), "body": "impala"},
        {"observation_shape": (4,)},
    ),
)
def test_wrong_arguments_are_refused(options):
    shape = options.pop("observation_shape", SHAPE)
    with pytest.raises(ValueError, match="must be"):
        models.q_network(3, shape, **options)
