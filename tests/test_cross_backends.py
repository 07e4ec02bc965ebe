"""A checkpoint of any backend goes on on any other.

`tests/data/from-*` were written by one backend each:

    KERAS_BACKEND=jax python benchmarks/cross_backends.py \
        write tests/data/from-jax --game CartPole-v1
"""

import json
import pathlib
import shutil

import keras
import pytest

from tests import runs
from tests.scripts import FOLDER
from tests.scripts import table_rows

DATA = pathlib.Path(__file__).parent / "data"
BACKENDS = ("tensorflow", "jax", "torch")


@pytest.fixture
def cross_backends(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import cross_backends

    return cross_backends


@pytest.mark.parametrize("writer", BACKENDS)
def test_a_checkpoint_of_every_backend_is_taken_over_to_the_bit(
    cross_backends, writer, tmp_path
):
    folder = shutil.copytree(DATA / f"from-{writer}", tmp_path / "run")
    expected = json.loads((folder / cross_backends.EXPECTED).read_text())
    found = cross_backends.read(folder, more=10)
    assert expected["backend"] == writer
    assert found["backend"] == keras.config.backend()
    unequal, loss = cross_backends.differences(expected, found)
    assert unequal == []
    assert loss <= cross_backends.TOLERANCE
    assert found["td_errors"] == pytest.approx(
        expected["td_errors"], rel=1e-4, abs=1e-6
    )


@pytest.mark.parametrize("writer", BACKENDS)
def test_the_command_goes_on_with_it_and_says_what_has_changed(
    writer, tmp_path, capsys
):
    out = shutil.copytree(DATA / f"from-{writer}", tmp_path / "run")
    words = f"--resume --out {out} --env-steps 128 --console plain --no-evaluation"
    assert runs.command("train", *words.split()) == 0
    text = capsys.readouterr().out
    assert "at 96 agent steps" in text
    if writer != keras.config.backend():
        assert f"backend: {writer} -> {keras.config.backend()}" in text
        assert "not exactly" in text


def test_what_differs_is_named(cross_backends):
    expected = json.loads((DATA / "from-jax" / cross_backends.EXPECTED).read_text())
    found = json.loads(json.dumps(expected))
    assert cross_backends.differences(expected, found) == ([], 0.0)
    found["digests"]["optimizer"] = ""
    found["loss"] *= 1.1
    unequal, loss = cross_backends.differences(expected, found)
    assert unequal == ["optimizer"]
    assert loss == pytest.approx(0.1)


@pytest.mark.slow
def test_the_command_that_compares_runs(tmp_path):
    import sys

    from tests.scripts import run_script

    backend = keras.config.backend()
    done = run_script("cross_backends.py", f"{backend}={sys.executable}", "--quick")
    assert done.returncode == 0, done.stderr
    assert table_rows(done.stdout, "written by") == [
        [backend, backend, "0.0e+00", "nothing"]
    ]
