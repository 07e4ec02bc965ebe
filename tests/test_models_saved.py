"""Networks as files and configurations, and their precision."""

import json

import keras
import numpy as np

from keras_dqn import models
from tests import tiny


def small_cnn():
    return models.dueling_cnn(2, (36, 36, 1), 4, seed=0)


def test_the_config_holds_stock_layers_and_operations_only():
    cnn = small_cnn()
    objects = []

    def walk(node):
        if isinstance(node, dict):
            if "class_name" in node:
                objects.append((node.get("module"), node.get("registered_name")))
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                walk(child)

    config = cnn.to_json()
    walk(json.loads(config))
    assert len(objects) > 20
    assert {str(module).split(".")[0] for module, _ in objects} <= {"keras", "None"}
    assert not any(">" in (name or "") for _, name in objects)  # "package>Custom"
    assert "keras_dqn" not in config
    assert "Lambda" not in config


def test_a_saved_cnn_comes_back_as_it_was(tmp_path):
    cnn = small_cnn()
    frames = np.arange(2 * 36 * 36, dtype="uint8").reshape(2, 36, 36, 1)
    cnn.save(tmp_path / "cnn.keras")
    loaded = keras.models.load_model(tmp_path / "cnn.keras")
    tiny.assert_same(tiny.weights(loaded), tiny.weights(cnn))
    np.testing.assert_array_equal(
        tiny.q_values_of(loaded, frames), tiny.q_values_of(cnn, frames)
    )


OPEN_WITH_KERAS_ALONE = """
import sys

import keras
import numpy as np

model = keras.models.load_model(sys.argv[1])
data = np.load(sys.argv[2])
q_values = keras.ops.convert_to_numpy(model(data["observations"]))
np.testing.assert_allclose(q_values, data["q_values"], rtol=0, atol=1e-5)
assert not [name for name in sys.modules if name.startswith("keras_dqn")]
print("backend", keras.config.backend())
"""


def test_a_file_saved_by_another_backend_opens_with_keras_alone(run_python):
    # `tests/data` was written once, by one backend, with `tests/tiny.py`.
    done = run_python(
        OPEN_WITH_KERAS_ALONE, tiny.DATA / "tiny.keras", tiny.DATA / "tiny.npz"
    )
    assert done.returncode == 0, done.stderr
    assert f"backend {keras.config.backend()}" in done.stdout


def test_q_values_are_float32_under_mixed_precision(mixed_bfloat16):
    network = small_cnn()
    assert network.get_layer("conv1").compute_dtype == "bfloat16"
    assert network.output.dtype == "float32"
    frames = np.zeros((2, 36, 36, 1), "uint8")
    assert tiny.q_values_of(network, frames).dtype == "float32"
