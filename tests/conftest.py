"""Fixtures that many tests share. Nothing here changes what is tested."""

import os
import subprocess
import sys
import tempfile

import pytest


def pytest_configure(config):
    """Saves what compilers would add to tests that are not about them.

    Half of the time of JAX's tests goes into compiling the same tiny networks: it
    compiles what many tests have in common once in a run. Tracing, donation and
    results are as without. `torch.compile` takes many seconds for each learner:
    only tests with the fixture `torch_compile` let it, and child processes do not.
    """
    if os.environ.get("KERAS_BACKEND") == "torch":
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    # Before the workers of pytest-xdist are started, which share it.
    is_jax = os.environ.get("KERAS_BACKEND") == "jax"
    if is_jax and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="jax-cache-")
        config.add_cleanup(folder.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.fixture
def run_python(tmp_path):
    """Runs code in a fresh interpreter. Returns the completed process."""

    def run(code, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def torch_compile(monkeypatch):
    """In this test, torch compiles as it does for users."""
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "0")


@pytest.fixture
def torch_traces(monkeypatch):
    """In this test, torch traces what it would compile, and compiles nothing of it."""
    if os.environ.get("KERAS_BACKEND") != "torch":
        return
    import torch

    compile_function = torch.compile

    def trace(function, options, **arguments):
        options = {"guard_filter_fn": options["guard_filter_fn"]}
        return compile_function(function, backend="eager", options=options, **arguments)

    monkeypatch.setattr(torch, "compile", trace)
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "0")


@pytest.fixture
def mixed_bfloat16():
    """The global dtype policy of the test is mixed_bfloat16."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)
