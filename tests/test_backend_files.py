"""The three backend files can be read side by side."""

import ast
import itertools
import pathlib

import pytest

import keras_dqn

pytestmark = pytest.mark.numpy

FOLDER = pathlib.Path(keras_dqn.__file__).parent / "backend"
BACKENDS = ("tensorflow", "jax", "torch")

# What a backend has or lacks for a reason. JAX carries its state from function to
# function; PyTorch compiles what is written eagerly, with more care.
ONLY_JAX = {
    "_copies",
    "_cpu_compiler_options",
    "_merge",
    "Learner._gradient_step",
    "TrainStep._online_call",
    "TrainStep._optimizer_scope",
    "TrainStep._split",
    "TrainStep._target_call",
}
NOT_JAX = {"_to_tensors"}
NOT_TORCH = {
    "Learner._update_many_steps",
    "Learner._inspect_step",
}
ONLY_TORCH = {
    "_Compiled",
    "_Compiled.__init__",
    "_Compiled.__call__",
    "_Compiled._run",
    "Learner._compiled",
    "Learner._lay_out",
}
ONLY_TENSORFLOW = {
    "_FusedAdam",
    "_FusedAdam.__init__",
    "_FusedAdam.apply",
    "_FusedAdam.clipped",
    "_FusedAdam.like",
    "_frames_last",
    "_sum_of_squares",
}


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


def test_no_name_is_missing_from_a_file_without_a_reason():
    everything = set().union(*NAMES.values())
    missing = {backend: everything - set(NAMES[backend]) for backend in BACKENDS}
    assert missing == {
        "tensorflow": ONLY_JAX | ONLY_TORCH,
        "jax": NOT_JAX | ONLY_TORCH | ONLY_TENSORFLOW,
        "torch": ONLY_JAX | NOT_TORCH | ONLY_TENSORFLOW,
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_name_is_defined_twice(backend):
    assert len(set(NAMES[backend])) == len(NAMES[backend])
