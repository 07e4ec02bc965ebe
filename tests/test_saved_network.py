"""A `.keras` file is opened if it is a network; whatever else it is does not run."""

import io
import json
import os
import resource
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn.models import dueling as models
from tests import runs
from tests import tiny


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.keras"
    tiny.network().save(path)
    return path


def changed(path, **members):
    """Writes the archive anew with other members; `None` leaves one out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("__", "."): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def with_layer(path, module, name, config, registered_name=None):
    """Puts an object of another class in the place of the second layer."""
    with zipfile.ZipFile(path) as archive:
        value = json.loads(archive.read("config.json"))
    layer = value["config"]["layers"][1]
    layer |= {"module": module, "class_name": name, "registered_name": registered_name}
    layer["config"] = {"name": layer["config"]["name"], **config}
    return changed(path, config__json=json.dumps(value))


def rewritten(path, change):
    """Applies a function to the configuration."""
    with zipfile.ZipFile(path) as archive:
        value = json.loads(archive.read("config.json"))
    change(value)
    return changed(path, config__json=json.dumps(value))


@pytest.fixture
def never_asked(monkeypatch):
    """Keras must not be asked to open the file."""

    def refuse(*args, **kwargs):
        raise AssertionError("Keras was asked to open it")

    monkeypatch.setattr(keras.saving, "load_model", refuse)


def check_refused(path, words):
    with pytest.raises(ValueError, match=words):
        keras_dqn.load_network(path)


@pytest.mark.parametrize(
    "make",
    [
        tiny.network,
        lambda: models.dueling_cnn(4, (84, 84, 4), 8),
        lambda: keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3, "gelu", kernel_regularizer="l2"),
                keras.layers.LayerNormalization(),
                keras.layers.Dense(2, activation=keras.ops.tanh),
            ]
        ),
    ],
)
def test_networks_are_opened_with_their_weights(tmp_path, make):
    network = make()
    network.compile("adam", "mse")
    network.save(tmp_path / "network.keras")
    opened = keras_dqn.load_network(tmp_path / "network.keras")
    for ours, theirs in zip(opened.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_lambda_is_refused_and_its_code_does_not_run(tmp_path):
    canary = tmp_path / "canary"
    made = canary.mkdir

    def act(x):
        if os.environ.get("OPENED"):
            made()
        return x

    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(act), keras.layers.Dense(2)]
    )
    network.save(tmp_path / "network.keras")
    check_refused(tmp_path / "network.keras", "plain Keras layers.*Lambda")
    assert not canary.exists()


UNSAFE = {"class_name": "function", "config": "enable_unsafe_deserialization"}
UNSAFE |= {"module": "keras.config", "registered_name": "function"}
OBJECTS = {
    "Lambda": ("keras.layers", "Lambda", {"function": "print"}),
    "nested": ("keras.layers", "Dense", {"units": 2, "activation": UNSAFE}),
    "deep": ("keras.layers", "Dense", {"units": 2, "x": [{"y": [UNSAFE]}]}),
    "any module": ("os", "system", {"command": "touch canary"}),
    "any function": ("keras.utils", "get_file", {"origin": "http://127.0.0.1/x"}),
    "function": ("builtins", "function", {}),
    "TFSMLayer": ("keras.layers", "TFSMLayer", {"filepath": "/tmp/x"}),
    "TorchModuleWrapper": ("keras.layers", "TorchModuleWrapper", {"module": "gASV"}),
    "JaxLayer": ("keras.layers", "JaxLayer", {"call_fn": "x"}),
    "StringLookup": ("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}),
    "TextVectorization": ("keras.layers", "TextVectorization", {"vocabulary": "http"}),
    "no module": (None, "Dense", {"units": 2}),
    "list for a module": (["keras.layers"], "Dense", {"units": 2}),
    "dict for a class": ("keras.layers", {}, {"units": 2}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_that_no_network_needs_are_refused_before_they_are_made(
    good, tmp_path, monkeypatch, never_asked, name
):
    monkeypatch.chdir(tmp_path)
    check_refused(with_layer(good, *OBJECTS[name]), "plain Keras layers")
    assert not (tmp_path / "canary").exists()


def test_a_registered_custom_class_is_refused(good):
    path = with_layer(good, "keras.layers", "Dense", {"units": 5}, "package>Dense")
    check_refused(path, "plain Keras layers")


def nested_in_a_compiled_model(value, compile_config):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    layer = keras.saving.serialize_keras_object(inner)
    layer["compile_config"] = compile_config
    outer = {"name": "outer", "layers": [value["config"]["layers"][0], layer]}
    value.clear()
    value |= {"module": "keras", "class_name": "Sequential", "config": outer}
    value["registered_name"] = None


def among_the_arguments_of_a_call(value, compile_config):
    node = value["config"]["layers"][1]["inbound_nodes"][0]
    node["kwargs"] = {"x": {"compile_config": compile_config}}


@pytest.mark.parametrize(
    "place", [nested_in_a_compiled_model, among_the_arguments_of_a_call]
)
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_in_a_compile_configuration_are_refused(good, never_asked, place, name):
    module, class_name, config = OBJECTS[name]
    thing = {"module": module, "class_name": class_name, "config": config}
    path = rewritten(good, lambda value: place(value, {"loss": thing}))
    check_refused(path, "plain Keras layers|compiled")


DENSE = {"module": "keras.layers", "class_name": "Dense", "registered_name": None}


def dense(units, columns=4):
    """A layer that Keras builds when it reads it, whether it is used or not."""
    config = {"name": "extra", "units": units}
    return {**DENSE, "config": config, "build_config": {"input_shape": [None, columns]}}


def widen(value, units):
    value["config"]["layers"][1]["config"]["units"] = units


def dangle(value, units):
    layers = value["config"]["layers"]
    nodes = layers[1]["inbound_nodes"]
    layers.append({**dense(units), "name": "extra", "inbound_nodes": nodes})


def float_around(value, units):
    layer = {**dense(units), "name": "extra", "inbound_nodes": []}
    value["config"]["layers"].append(layer)


def hide_in_a_call(value, units):
    value["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {"x": dense(units)}


def hide_among_layers_of_a_call(value, units):
    node = value["config"]["layers"][1]["inbound_nodes"][0]
    node["kwargs"] = {"training": {"layers": [dense(units)]}}


def hide_a_model_in_a_call(value, units):
    inputs = keras.saving.serialize_keras_object(keras.layers.InputLayer((4,)))
    config = {"name": "inner", "layers": [inputs, dense(units)]}
    model = {"module": "keras", "class_name": "Sequential", "config": config}
    node = value["config"]["layers"][1]["inbound_nodes"][0]
    node["kwargs"] = {"training": model}


def take_a_name_twice(value, units):
    layers = value["config"]["layers"]
    twin = {**layers[1], "config": {**layers[1]["config"], "units": units}}
    layers.insert(1, {**twin, "build_config": {"input_shape": [None, 4]}})


def dangle_and_say_its_name(value, units):
    dangle(value, units)
    node = value["config"]["layers"][1]["inbound_nodes"][0]
    node["kwargs"] = {"training": ["extra", 0, 0]}


def hide_in_an_option(value, units):
    value["config"]["layers"][1]["config"]["x"] = dense(units)


def enlarge_the_input(value, units):
    value["config"]["layers"][0]["config"]["batch_shape"] = [None, units]
    value["config"]["layers"][1].pop("build_config", None)


@pytest.mark.parametrize("units", [10**8, 10**11, 10**30])
@pytest.mark.parametrize(
    "change",
    [
        widen,
        dangle,
        float_around,
        dangle_and_say_its_name,
        take_a_name_twice,
        hide_in_a_call,
        hide_among_layers_of_a_call,
        hide_a_model_in_a_call,
        hide_in_an_option,
        enlarge_the_input,
    ],
)
def test_layers_without_weights_in_the_file_take_no_memory(
    good, never_asked, change, units
):
    path = rewritten(good, lambda value: change(value, units))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError):
        keras_dqn.load_network(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # kB; 10**8 units would be millions


def damage(raw, name):
    raw = bytearray(raw)
    at = raw.find(b"PK\x01\x02")
    while at >= 0:
        if name == "encrypted":
            raw[at + 8] |= 1
        elif name == "unknown method":
            raw[at + 10] = 99
        at = raw.find(b"PK\x01\x02", at + 4)
    if name == "corrupt":
        start = raw.find(b"config.json") + 30
        raw[start : start + 100] = bytes(each ^ 0xFF for each in raw[start:][:100])
    return bytes(raw)


@pytest.mark.parametrize("name", ["encrypted", "unknown method", "corrupt"])
def test_a_damaged_archive_is_refused_with_a_message(good, name):
    path = changed(good)  # compressed
    path.write_bytes(damage(path.read_bytes(), name))
    check_refused(path, "cannot be opened")


def weights(fill):
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        fill(h5)
    return file.getvalue()


WEIGHTS = {
    "a file elsewhere": lambda h: h.__setitem__("a", h5py.ExternalLink("/etc/x", "/")),
    "a soft link": lambda h: h.__setitem__("a", h5py.SoftLink("/b")),
    "raw bytes elsewhere": lambda h: h.create_dataset(
        "a", (8,), "u1", external=[("/etc/passwd", 0, 8)]
    ),
    "terabytes of nothing": lambda h: h.create_dataset(
        "a", (2**40,), "f4", chunks=(9,)
    ),
    "a bomb": lambda h: h.create_dataset("a", data=np.zeros(10**6), compression="gzip"),
    "text": lambda h: h.create_dataset("a", data="text"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_not_plain_numbers_in_the_file_are_refused(good, name):
    data = weights(WEIGHTS[name])
    with zipfile.ZipFile(good) as archive:
        content = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(good, "w") as archive:
        for each, old in content.items():
            archive.writestr(each, data if each == "model.weights.h5" else old)
    check_refused(good, "the weights 'a' must")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"config__json": None}, "must hold"),
        ({"assets/x": b"1"}, "must hold"),
        ({"../x": b"1"}, "must hold"),
        ({"config__json": "{"}, "config.json"),
        ({"config__json": "[" * 100_000}, "config.json"),
        ({"config__json": b"\xff"}, "config.json"),
        ({"config__json": "[]"}, "cannot be opened|config"),
        ({"model__weights__h5": b"no"}, "model.weights.h5"),
        ({"metadata__json": " " * 2**25}, "too large"),
        ({"model__weights__h5": bytes(2**25)}, "too large"),
    ],
)
def test_other_archives_are_refused(good, members, words):
    check_refused(changed(good, **members), words)


def test_files_of_other_kinds_are_refused_by_name_and_by_content(tmp_path, good):
    old = tmp_path / "old.h5"
    with h5py.File(old, "w"):
        pass
    check_refused(old, r"must be a `.keras` file")
    check_refused(old.rename(tmp_path / "old.keras"), "not a `.keras` file")
    check_refused(tmp_path, r"must be a `.keras` file")
    check_refused(tmp_path / "none.keras", r"must be a `.keras` file")
    (tmp_path / "p.keras").write_bytes(b"\x80\x04cos\nsystem\n.")
    check_refused(tmp_path / "p.keras", "not a `.keras` file")


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    (tmp_path / "p.keras").write_bytes(b"\x80\x04cos\nsystem\n.")
    words = [tmp_path / "p.keras", "--env", "Breakout"]
    assert runs.command("evaluate", *words) == 78
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "not a `.keras` file" in line
