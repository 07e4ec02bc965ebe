"""What the commands say and do before Keras is imported."""

import json
import os
import sys

import pytest

from keras_dqn.cli import loading
from keras_dqn.cli.__main__ import main

pytestmark = pytest.mark.numpy


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return tmp_path


def test_the_backend_is_that_of_the_environment_then_of_the_file(home, monkeypatch):
    assert loading.backend_name() == "tensorflow"
    (home / "keras.json").write_text("damaged")
    assert loading.backend_name() == "tensorflow"
    (home / "keras.json").write_text(json.dumps({"backend": "torch"}))
    assert loading.backend_name() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert loading.backend_name() == "jax"


def test_what_is_loaded_is_said_only_before_it_is_loaded(capsys, monkeypatch):
    with pytest.raises(ImportError):  # there is no Keras here
        loading.load_keras()
    assert capsys.readouterr().out == "Loading keras and tensorflow ...\n"
    with pytest.raises(ImportError):
        loading.load_keras(is_said=False)
    monkeypatch.setitem(sys.modules, "keras", object())
    loading.load_keras()
    assert capsys.readouterr().out == ""


NOTES = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795767115.585467   32030 cudart_stub.cc:31] Could not find cuda drivers
E0000 00:00:1795767218.987515   32030 cuda_platform.cc:52] failed call to cuInit: 303
2026-11-27 08:12:30.1: I tensorflow/core/util/port.cc:153] oneDNN custom operations
"""
ERRORS = """\
E0000 00:00:1795767218.987515   32030 gpu.cc:52] out of memory
Traceback (most recent call last):
"""


@pytest.mark.parametrize("level", ["2", "0"])
def test_notes_of_libraries_are_dropped_and_errors_are_shown(level, capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with pytest.raises(KeyError), loading.without_notes():
        os.write(2, (NOTES + ERRORS).encode())
        raise KeyError
    os.write(2, b"after\n")
    expected = ERRORS if level == "2" else NOTES + ERRORS
    assert capfd.readouterr().err == expected + "after\n"


def test_tensorflow_is_quiet_unless_the_user_has_said_otherwise(monkeypatch):
    flags = ["evaluate", "no-such-file.keras", "--env", "CartPole-v1"]
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    assert main(flags) != 0
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert main(flags) != 0
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert "train" in text and "evaluate" in text
