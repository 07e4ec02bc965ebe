"""Networks of many layers and precisions: what Keras saves and opens is opened."""

import json
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import keras_dqn
from tests import tiny


def network(*stack, shape=(8,), dtype="float32"):
    x = inputs = keras.Input(shape, dtype=dtype)
    for layer in stack:
        x = layer(x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def quantized(mode):
    made = network(layers.Dense(8), layers.Dense(4))
    with warnings.catch_warnings():  # that the input layer is not quantized
        warnings.simplefilter("ignore")
        made.quantize(mode)
    return made


def lora():
    made = network(layers.Dense(8))
    dense = made.layers[1]
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones((2, 8)))
    return made


def attention():
    inputs = keras.Input((2, 4))
    inner = keras.Model(inputs, layers.MultiHeadAttention(2, 2)(inputs, inputs))
    return network(inner, shape=(2, 4))


def by_dtype(dtype):
    return network(layers.Dense(4, dtype=dtype), dtype=dtype)


def sequence(layer):
    return network(layer, shape=(3, 4))


NETWORKS = {
    "bfloat16": lambda: by_dtype("bfloat16"),
    "float16": lambda: by_dtype("float16"),
    "float64": lambda: by_dtype("float64"),
    "mixed_bfloat16": lambda: network(layers.Dense(4, dtype="mixed_bfloat16")),
    "mixed_float16": lambda: network(layers.Dense(4, dtype="mixed_float16")),
    "policy map": lambda: network(
        layers.Dense(
            4, dtype=keras.dtype_policies.DTypePolicyMap(default_policy="bfloat16")
        )
    ),
    "bfloat16 statistics": lambda: network(layers.BatchNormalization(dtype="bfloat16")),
    "int8": lambda: quantized("int8"),
    "int4": lambda: quantized("int4"),
    "float8": lambda: quantized("float8"),
    "lora": lora,
    "identity": lambda: network(layers.Dense(8, kernel_initializer="identity")),
    "dropout": lambda: network(layers.Dropout(0.5), layers.AlphaDropout(0.5)),
    "normalization": lambda: network(layers.Normalization()),
    "spectral": lambda: network(layers.SpectralNormalization(layers.Dense(3))),
    "embedding": lambda: network(layers.Embedding(5, 4), dtype="int32"),
    "lstm": lambda: sequence(layers.LSTM(3)),
    "gru": lambda: sequence(layers.GRU(3, dropout=0.5)),
    "cells": lambda: sequence(layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])),
    "bidirectional": lambda: sequence(
        layers.Bidirectional(
            layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True)
        )
    ),
    "time distributed": lambda: sequence(layers.TimeDistributed(layers.Dense(3))),
    "attention": attention,
    "nested": lambda: network(
        keras.Sequential([keras.Input((8,)), layers.Dense(3)]), layers.Dense(4)
    ),
    "activation layer": lambda: network(layers.Dense(4, layers.LeakyReLU())),
    "transposed": lambda: network(
        layers.Conv2DTranspose(2, 3), layers.Conv2D(3, 2), shape=(4, 4, 1)
    ),
}


to_numpy = keras.ops.convert_to_numpy


def outputs(model):
    (inputs,) = model.inputs
    x = np.arange(2 * np.prod(inputs.shape[1:])).reshape(2, *inputs.shape[1:]) % 5
    return tiny.q_values_of(
        model, x.astype(inputs.dtype.replace("bfloat16", "float32"))
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_what_keras_saves_and_opens_is_opened_as_it_was(tmp_path, name):
    made = NETWORKS[name]()
    rng = np.random.default_rng(0)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    made.save(tmp_path / "network.keras")
    opened = keras_dqn.load_network(tmp_path / "network.keras")
    theirs = keras.saving.load_model(tmp_path / "network.keras")
    for other in (theirs, made):
        # Kernels may sum in another order elsewhere in memory.
        x, y = outputs(opened), outputs(other)
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)
    for ours, kept in zip(opened.variables, theirs.variables, strict=True):
        assert (ours.shape, ours.dtype) == (kept.shape, kept.dtype)
        # Seeds are not saved. Keras makes both factors of LoRA zero, which could not
        # learn: one of them is drawn anew.
        if "seed" not in ours.path and ours.name != "lora_kernel_a":
            np.testing.assert_array_equal(*map(to_numpy, (ours.value, kept.value)))


def rewritten(path, change=lambda config: None, change_weights=lambda weights: None):
    """Applies functions to the configuration and to the weights of a file."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    change(config)
    content["config.json"] = json.dumps(config)
    weights = path.parent / "model.weights.h5"
    weights.write_bytes(content["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        change_weights(file)
    content["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def first_kernel(file):
    return file["layers/dense/vars/0"]


def without_a_name(file):
    del first_kernel(file).attrs["dtype"]


def of_another_name(file):
    first_kernel(file).attrs["dtype"] = "complex32"


def of_many_names(file):
    first_kernel(file).attrs["dtype"] = ["bfloat16", "bfloat16"]


def of_another_width(file):
    del file["layers/dense/vars/0"]
    raw = np.zeros((8, 4), "V8")
    file["layers/dense/vars"].create_dataset("0", data=raw).attrs["dtype"] = "bfloat16"


def of_parts(file):
    del file["layers/dense/vars/0"]
    parts = np.zeros((8, 4), [("a", "u1"), ("b", "u1")])
    file["layers/dense/vars"].create_dataset("0", data=parts).attrs["dtype"] = (
        "bfloat16"
    )


@pytest.mark.parametrize(
    "change",
    [without_a_name, of_another_name, of_many_names, of_another_width, of_parts],
)
def test_raw_bytes_that_are_no_bfloat16_are_refused(tmp_path, change):
    path = tmp_path / "network.keras"
    keras.Sequential(
        [keras.Input((8,)), layers.Dense(4, dtype="bfloat16", name="dense")]
    ).save(path)
    keras_dqn.load_network(path)
    with pytest.raises(ValueError, match="plain numbers"):
        keras_dqn.load_network(rewritten(path, change_weights=change))


@pytest.mark.parametrize("rank", [100, 10**8, 10**30])
def test_low_rank_weights_are_no_more_than_the_file_holds(tmp_path, rank):
    path = tmp_path / "network.keras"
    lora().save(path)

    def raise_rank(config):
        config["config"]["layers"][1]["config"]["lora_rank"] = rank

    with pytest.raises(ValueError, match="no more weights than the file|config.json"):
        keras_dqn.load_network(rewritten(path, raise_rank))


@pytest.mark.parametrize("key", ["cell", "cells", "backward_layer", "layer"])
def test_a_layer_under_a_key_that_its_owner_does_not_know_is_refused(tmp_path, key):
    path = tmp_path / "network.keras"
    network(layers.Dense(4)).save(path)

    def hide(config):
        inner = {**config["config"]["layers"][1], "name": "inner"}
        inner["config"] = {**inner["config"], "units": 10**8}
        config["config"]["layers"][1]["config"][key] = inner

    with pytest.raises(ValueError, match="config.json"):
        keras_dqn.load_network(rewritten(path, hide))
