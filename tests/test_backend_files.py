"""The three backends can be read side by side: the same files, names and order."""

import ast
import itertools
import pathlib

import pytest

import keras_dqn

pytestmark = pytest.mark.numpy

FOLDER = pathlib.Path(keras_dqn.__file__).parent / "backend"
BACKENDS = ("tensorflow", "jax", "torch")
FILES = ("device", "learner", "network")
# What every backend must offer, see `backend/__init__.py`.
OFFERED = {
    "device": ["DeviceFrames", "frames_last", "backend_versions", "device_name"],
    "learner": ["TrainStep", "Learner"],
    "network": ["QFunction", "input_gradient", "compiled"],
}


def names_of(backend, file):
    """Top-level functions and classes, and methods, in the order of the file."""
    names = []
    for node in ast.parse((FOLDER / backend / f"{file}.py").read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        if isinstance(node, ast.ClassDef):
            functions = (n for n in node.body if isinstance(n, ast.FunctionDef))
            names += [f"{node.name}.{function.name}" for function in functions]
    return names


def public_methods(names, of):
    return [n for n in names if n.split(".")[0] in of and "._" not in n]


@pytest.mark.parametrize("file", FILES)
def test_all_offer_the_same_classes_and_functions_in_the_same_order(file):
    offered = [public_methods(names_of(b, file), OFFERED[file]) for b in BACKENDS]
    assert offered[0] == offered[1] == offered[2]
    assert [name for name in offered[0] if "." not in name] == OFFERED[file]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(BACKENDS, 2)])
def test_shared_names_come_in_the_same_order(one, other, file):
    names, others = names_of(one, file), names_of(other, file)
    shared = set(names) & set(others)
    assert [n for n in names if n in shared] == [n for n in others if n in shared]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_name_is_defined_twice(backend, file):
    names = names_of(backend, file)
    assert len(set(names)) == len(names)
