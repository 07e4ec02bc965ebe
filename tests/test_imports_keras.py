"""What importing and using keras_dqn does to the process it is used in."""

import importlib.resources
import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FRAMEWORKS = ("tensorflow", "jax", "torch")

# Everything that an import could change for the rest of the process.
SNAPSHOT = """
import json, logging, os, random, signal, sys, warnings

import keras
import numpy as np

def snapshot():
    torch = sys.modules.get("torch")
    jax = sys.modules.get("jax")
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "log handlers": [repr(handler) for handler in logging.root.handlers],
        "log level": logging.root.level,
        "python's generator": repr(random.getstate()),
        "numpy's generator": repr(np.random.get_state()),
        "numpy's errors": np.geterr(),
        "print options": repr(np.get_printoptions()),
        "dtype policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "data format": keras.config.image_data_format(),
        "traceback filtering": keras.config.is_traceback_filtering_enabled(),
        "gradients": torch and torch.is_grad_enabled(),
        "default dtype": torch and str(torch.get_default_dtype()),
        "threads": torch and torch.get_num_threads(),
        "torch's generator": torch and torch.initial_seed(),
        "jax's settings": jax and repr(sorted(jax.config.values.items())),
        "warnings": [repr(f) for f in warnings.filters],
        "interrupt": repr(signal.getsignal(signal.SIGINT)),
        "streams": [id(sys.stdout), id(sys.stderr)],
        "hooks": [repr(sys.excepthook), len(sys.meta_path), list(sys.path)],
    }
"""


@pytest.fixture(scope="module")
def facts():
    """What a child process saw in itself before and after imports and two runs."""
    others = [name for name in FRAMEWORKS if name != keras.backend.backend()]
    return child(
        f"""
import sys
# Even where the other frameworks are installed, this process cannot import them.
OTHERS = {others!r}
sys.modules.update(dict.fromkeys(OTHERS))
{SNAPSHOT}
# Gymnasium and ALE are the caller's choice; what they do is theirs.
import gymnasium, ale_py
facts = [snapshot()]
import keras_dqn
for name in keras_dqn.__all__:
    getattr(keras_dqn, name)
facts.append(snapshot())

def train():
    envs = keras_dqn.make_envs("CartPole-v1", num_envs=2)
    network = keras_dqn.models.dueling_mlp(envs.num_actions, (4,), (8, 8), seed=1)
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(32))
    agent.compile()
    return agent.fit(envs, env_steps=96, batch_size=4, monitors=None)

updates = train().updates  # a framework sets itself up at its first step
np.random.seed(3)
facts.append(snapshot())
train()
facts.append(snapshot())
loaded = [name for name in OTHERS if sys.modules.get(name) is not None]
print(json.dumps([facts, keras_dqn.__all__, updates, loaded]))
"""
    )


def test_importing_every_public_name_changes_nothing_in_the_process(facts):
    (before, after, _, _), names, _, _ = facts
    assert len(names) > 10
    assert after == before


def test_type_checkers_are_told_that_the_installed_package_is_annotated():
    """On TensorFlow, `tox` installs a wheel."""
    assert importlib.resources.files("keras_dqn").joinpath("py.typed").is_file()


def test_training_leaves_the_process_as_it_found_it(facts):
    (_, _, before, after), _, _, _ = facts
    assert after == before


def test_a_run_needs_no_framework_but_its_own(facts):
    _, _, updates, loaded = facts
    assert updates > 0
    assert loaded == []


def child(script):
    """Runs `script` in a new interpreter and returns the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_after_keras_is_loaded_a_compiled_function_writes_nothing():
    program = """
from keras_dqn.cli import loading
loading.load_keras(is_said=False)
from keras import ops
from keras_dqn.backend import frames_last
assert frames_last(ops.zeros((2, 4, 3), "uint8")).shape == (2, 3, 4)
"""
    names = os.environ.keys() - {"TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={name: os.environ[name] for name in names},
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
