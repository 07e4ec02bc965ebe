"""The documents and docstrings whose examples are run."""

import doctest
import importlib
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_dqn"
README = (ROOT / "README.md").read_text()
NEED_KERAS = ("keras_dqn.algorithms.dqn", "keras_dqn.models.dueling")


def modules_with_examples():
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in path.read_text():
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__")


def run_examples(name):
    """Runs the examples in a module's docstrings; returns how many there were."""
    found = doctest.testmod(importlib.import_module(name), report=True)
    assert found.failed == 0
    return found.attempted
