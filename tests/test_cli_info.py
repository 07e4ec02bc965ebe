"""`keras-dqn info`: what is in a run, a checkpoint, a network."""

import shlex

import keras
import pytest

import keras_dqn
from tests import runs
from tests import small
from tests import toys


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "a run"
    with small.registered(toys.CountingEnv):
        assert small.run(out) == 0
    return out


def info(path, capsys):
    assert runs.command("info", path) == 0
    return capsys.readouterr().out


def test_a_run_shows_its_numbers_its_command_and_its_files(directory, capsys):
    text = info(directory, capsys)
    assert "keras-dqn train --preset cartpole" in text and "--env-steps 48" in text
    assert "network.keras" in text
    # With the backend: another one would go on with other rounding.
    assert f"KERAS_BACKEND={keras.config.backend()} keras-dqn resume " in text
    (line,) = [line for line in text.splitlines() if line.startswith("continue")]
    assert shlex.split(line)[-1] == str(directory)
    assert "last evaluation" in text
    assert "checkpoint 48" in text and "complete, exact" in text


def test_a_damaged_checkpoint_is_shown_as_such(directory, capsys):
    newest = sorted((directory / "checkpoints").glob("checkpoint-*"))[-1]
    part = next(newest.glob("*.bin"))
    data = part.read_bytes()
    part.write_bytes(data[:-1])
    try:
        assert "damaged: " in info(directory, capsys)
        assert runs.command("info", newest) == 78
        assert part.name in capsys.readouterr().err
    finally:
        part.write_bytes(data)
    text = info(newest, capsys)
    assert "complete" in text and "part replay" in text


def test_a_network_shows_its_shapes(tmp_path, capsys):
    network = keras_dqn.models.dueling_mlp(3, (4,), (8,), seed=0)
    network.save(tmp_path / "a.keras")
    text = info(tmp_path / "a.keras", capsys)
    assert "(4,), float32" in text and f"{network.count_params():,}" in text
    assert "value_hidden" in text


def test_what_is_nothing_of_these_is_refused_in_a_line(tmp_path, capsys):
    for path, code in (
        (tmp_path, 74),
        (tmp_path / "none", 74),
        (tmp_path / "no.keras", 78),
    ):
        assert runs.command("info", path) == code
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
