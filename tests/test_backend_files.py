"""The three backend files can be read side by side."""

import ast
import itertools
import pathlib

import pytest

import keras_dqn

pytestmark = pytest.mark.numpy

FOLDER = pathlib.Path(keras_dqn.__file__).parent / "backend"
BACKENDS = ("tensorflow", "jax", "torch")


def names_of(backend):
    """Top-level functions and classes, and methods, in the order of the file."""
    names = []
    for node in ast.parse((FOLDER / f"{backend}.py").read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        if isinstance(node, ast.ClassDef):
            functions = (n for n in node.body if isinstance(n, ast.FunctionDef))
            names += [f"{node.name}.{function.name}" for function in functions]
    return names


NAMES = {backend: names_of(backend) for backend in BACKENDS}


def is_public(name):
    return not any(part.startswith("_") for part in name.split("."))


def test_the_public_names_are_the_same_in_the_same_order():
    public = [[n for n in NAMES[backend] if is_public(n)] for backend in BACKENDS]
    assert public[0] == public[1] == public[2]
    assert {"Learner", "TrainStep", "device_name"} <= set(public[0])


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(BACKENDS, 2)])
def test_shared_names_come_in_the_same_order(one, other):
    shared = set(NAMES[one]) & set(NAMES[other])
    orders = [[n for n in NAMES[backend] if n in shared] for backend in (one, other)]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_name_is_defined_twice(backend):
    assert len(set(NAMES[backend])) == len(NAMES[backend])
