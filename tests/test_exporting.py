"""Networks for other runtimes: each is opened again in its own, and compared."""

import importlib
import importlib.util
import pathlib
import re

import keras
import numpy as np
import pytest

from keras_dqn import exporting
from keras_dqn import models
from keras_dqn.cli import export as cli_export
from keras_dqn.models import dueling
from keras_dqn.models.precision import PRECISIONS
from keras_dqn.models.precision import with_precision
from tests import runs
from tests import small
from tests import tiny
from tests import toys

BACKEND = keras.config.backend()


def image_network(dtype=None):
    return dueling.dueling_cnn(3, (36, 36, 2), 8, seed=1, dtype=dtype)


def images(count):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 36, 36, 2)).astype("uint8")


def can_export(name):
    """Whether the format can be written here. If not, its refusal is tested."""
    found = exporting.FORMATS[name]
    modules = (*found.needs.get(BACKEND, ("nothing has this name",)), found.runtime)
    return all(importlib.util.find_spec(each) is not None for each in modules)


@pytest.mark.parametrize("name", exporting.FORMATS)
def test_each_format_is_opened_again_and_equal_or_refused_by_name(name, tmp_path):
    found = exporting.FORMATS[name]
    path = tmp_path / f"network{found.suffix}"
    network = image_network()
    if BACKEND not in found.needs:
        others = " or ".join(f"KERAS_BACKEND={each}" for each in found.needs)
        with pytest.raises(ValueError, match=f"'{name}'.* {BACKEND}. Use {others}"):
            exporting.export(network, path, name)
        assert list(tmp_path.iterdir()) == []
        return
    if not can_export(name):
        with pytest.raises(ImportError, match=f"'{name}' on {BACKEND} needs: pip "):
            exporting.export(network, path, name)
        assert list(tmp_path.iterdir()) == []
        return
    exporting.export(network, path, name)
    for count in (1, 5):  # the batch size is free
        observations = images(count)
        expected = network.predict_on_batch(observations)
        outputs = exporting.outputs_of(path, name, observations)
        np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_an_onnx_file_holds_all_weights(tmp_path):
    """JAX writes large ones into a second file, which a browser does not find."""
    if not can_export("onnx"):
        return
    network = models.dueling_mlp(3, (700,), (700, 4), seed=1)
    assert network.count_params() > 2**18  # over a megabyte in one matrix
    exporting.export(network, tmp_path / "network.onnx", "onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    observations = np.ones((2, 700), np.float32)
    outputs = exporting.outputs_of(tmp_path / "network.onnx", "onnx", observations)
    expected = network.predict_on_batch(observations)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_the_table_of_formats_is_made_from_the_code(monkeypatch):
    docs = pathlib.Path(__file__).parents[1] / "docs"
    monkeypatch.syspath_prepend(str(docs))
    table = importlib.import_module("export_table")
    text = (docs / "export.md").read_text()
    assert table.updated(text) == text
    changed = text.replace("| float32, float16, int8 |", "| float32 |")
    assert changed != text and table.updated(changed) == text


def test_the_command_offers_every_format():
    assert cli_export.NAMES == tuple(exporting.FORMATS)
    assert cli_export.PRECISIONS == PRECISIONS


def first_format():
    """A format for another runtime that every environment of this backend has."""
    return {"tensorflow": "saved-model", "torch": "torch"}.get(BACKEND)


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("name", exporting.FORMATS)
def test_each_precision_is_computed_as_in_keras_or_refused_by_name(
    name, precision, tmp_path
):
    found = exporting.FORMATS[name]
    path = tmp_path / f"network{found.suffix}"
    network = image_network()
    if BACKEND in found.needs and precision not in found.precisions.get(BACKEND, ()):
        with pytest.raises(ValueError, match=f"'{name}'.* in {precision} on {BACKEND}"):
            exporting.export(network, path, name, precision=precision)
    if not can_export(name) or precision not in found.precisions.get(BACKEND, ()):
        assert list(tmp_path.iterdir()) == []
        return
    exporting.export(network, path, name, precision=precision)
    observations = images(5)
    expected = with_precision(network, precision).predict_on_batch(observations)
    exact = network.predict_on_batch(observations)
    outputs = exporting.outputs_of(path, name, observations)
    largest = np.abs(exact).max()
    tolerance = 2**-9 * largest if precision == "float16" else 1e-4
    np.testing.assert_allclose(outputs, expected, atol=tolerance)
    np.testing.assert_allclose(outputs, exact, atol=0.05 * largest)
    assert (outputs != exact).any()  # it is another precision


def test_a_quantized_network_is_smaller_and_can_be_loaded(tmp_path):
    network, sizes = dueling.dueling_mlp(3, (8,), (64, 64)), {}
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}.keras"
        exporting.export(network, path, "keras", precision=precision)
        assert models.load_network(path).output_shape == (None, 3)
        weights = models.load_network(path).get_weights()
        sizes[precision] = sum(array.nbytes for array in weights)
    assert sizes["float16"] == sizes["float32"] / 2
    assert sizes["int8"] < 0.4 * sizes["float32"]
    with pytest.raises(ValueError, match="`precision`"):
        with_precision(network, "int7")


@pytest.mark.parametrize("name", exporting.FORMATS)
def test_every_format_can_hold_the_greedy_action(name, tmp_path):
    if not can_export(name):
        return  # the test of the Q-values says why
    network = tiny.with_weights(image_network(), 0)
    path = tmp_path / f"policy{exporting.FORMATS[name].suffix}"
    exporting.export(network, path, name, greedy=True)
    observations = images(16)
    expected = network.predict_on_batch(observations).argmax(axis=1)
    assert (exporting.outputs_of(path, name, observations) == expected).all()


@pytest.mark.parametrize("name", ["saved-model", "torch", "litert"])
def test_nothing_but_an_older_export_is_replaced(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suffix = exporting.FORMATS[name].suffix
    places = [tmp_path / f"run{suffix}", tmp_path / f"model{suffix}"]
    for place, file in zip(places, ("settings.json", "saved_model.pb"), strict=True):
        (place / ".git").mkdir(parents=True)
        (place / file).write_text("{}")
    refused = [*places, pathlib.Path(), pathlib.Path("..")]
    if not suffix:
        (tmp_path / "file").write_text("x")
        refused.append(tmp_path / "file")
    before = sorted(tmp_path.rglob("*"))
    for path in refused:
        with pytest.raises(FileExistsError):
            exporting.check_replaceable(path, name)
    name = first_format()
    if name is not None:
        for path in refused:
            with pytest.raises((FileExistsError, ValueError)):
                exporting.export(image_network(), path, name)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_greedy_action_is_that_of_the_largest_q_value(tmp_path):
    network = tiny.with_weights(image_network(), 0)
    model = models.greedy(network)
    observations = images(16)
    expected = network.predict_on_batch(observations).argmax(axis=1)
    assert len(set(expected)) > 1
    actions = model.predict_on_batch(observations)
    assert (actions == expected).all() and actions.dtype == np.int32
    name = first_format()
    if name is not None:
        path = tmp_path / f"policy{exporting.FORMATS[name].suffix}"
        exporting.export(network, path, name, greedy=True)
        assert (exporting.outputs_of(path, name, observations) == expected).all()


def test_mixed_precision_becomes_float32_with_the_same_weights():
    mixed, exact = image_network("mixed_bfloat16"), image_network("float32")
    exact.set_weights(mixed.get_weights())
    copy = with_precision(mixed, "float32")
    np.testing.assert_allclose(
        copy.predict_on_batch(images(4)), exact.predict_on_batch(images(4)), atol=1e-6
    )
    assert {layer.compute_dtype for layer in copy.layers[2:]} == {"float32"}
    assert with_precision(exact, "float32") is exact
    assert any(layer.compute_dtype == "bfloat16" for layer in mixed.layers)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_what_a_layer_was_adapted_to_holds_in_another_precision(precision):
    norm = keras.layers.Normalization()
    norm.adapt(np.arange(8.0, dtype="float32").reshape(4, 2))
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Dense(3)(norm(inputs)))
    x = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    expected = tiny.q_values_of(network, x)
    found = tiny.q_values_of(with_precision(network, precision), x)
    limit = 0.02 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def test_what_is_wrong_is_refused(tmp_path):
    name = first_format() or "onnx"
    with pytest.raises(ValueError, match="Did you mean `onnx`"):
        exporting.export(image_network(), tmp_path / "a.onnx", "onxx")
    if first_format() == "torch":  # the others need no suffix
        with pytest.raises(ValueError, match=f"`path` of '{name}'"):
            exporting.export(image_network(), tmp_path / "a.keras", name)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    with small.registered(toys.CountingEnv):
        assert small.run(out, "--no-evaluation") == 0
    return out


def export(*words):
    with small.registered(toys.CountingEnv):
        return runs.command("export", *words)


def test_the_command_writes_checks_and_replaces_only_by_force(run, capsys):
    name = first_format()
    if name is None:  # JAX alone: what it exports needs packages that are not here
        assert export(run, "--format", "litert") == 78
        assert "Use KERAS_BACKEND=tensorflow" in capsys.readouterr().err
        return
    path = run / {"saved-model": "network-saved-model", "torch": "network.pt2"}[name]
    assert export(run, "--format", name) == 0
    text = capsys.readouterr().out
    assert re.search(rf"{path}: \d+\.\d\d MB. Its outputs in \w+ differ", text)
    assert export(run, "--format", name) == 74
    assert "--force" in capsys.readouterr().err
    assert export(run, "--format", name, "--force", "--greedy") == 0
    assert path.exists() and not list(run.glob(".unfinished-*"))


def test_an_export_that_differs_is_an_error(run, capsys, monkeypatch):
    name = first_format()
    if name is None:
        name = "onnx"
        monkeypatch.setattr(exporting, "export", lambda *args: None)
        monkeypatch.setattr(exporting, "check", exporting.FORMATS.get)
    monkeypatch.setattr(
        exporting, "outputs_of", lambda path, form, x: np.zeros((len(x), 2)) + 9.0
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert export(run, "--format", name, "--force") == 70
    assert "differ from those of Keras by up to" in capsys.readouterr().err
    monkeypatch.setattr(
        exporting, "outputs_of", lambda path, form, x: np.full((len(x), 2), np.nan)
    )
    assert export(run, "--format", name, "--force") == 70
    assert "by up to nan" in capsys.readouterr().err

    def fail(*args):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(exporting, "outputs_of", fail)
    assert export(run, "--format", name, "--force") == 70
    assert "cannot run it: no such operation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--format", "onxx"], 64, "invalid choice"),
        ([], 64, "--format"),
    ],
)
def test_wrong_flags_are_refused(run, words, code, said, capsys):
    assert export(run, *words) == code
    assert said in capsys.readouterr().err
