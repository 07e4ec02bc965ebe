"""The public API is annotated; `tox -e lint` checks that the annotations are right."""

import ast
import pathlib

import pytest

import keras_dqn

pytestmark = pytest.mark.numpy
PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "keras_dqn"
# What the command is made of: no one imports it, and it is annotated as it grows.
INTERNAL = ("checkpoint/", "cli/", "runs/")
MODULES = sorted(
    name
    for name in (str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    if not name.startswith(INTERNAL)
)


def public_functions(node, is_class=False):
    """Yields the functions and methods that have a name without an underscore."""
    for child in node.body:
        is_special = child.__class__ is ast.FunctionDef and child.name == "__init__"
        if getattr(child, "name", "_").startswith("_") and not is_special:
            continue
        if isinstance(child, ast.ClassDef):
            yield from public_functions(child, is_class=True)
        elif isinstance(child, ast.FunctionDef):
            arguments = child.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            named += [each for each in (arguments.vararg, arguments.kwarg) if each]
            is_static = any(
                ast.unparse(each) == "staticmethod" for each in child.decorator_list
            )
            yield child, named[1:] if is_class and not is_static else named


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_are_annotated(name):
    for function, arguments in public_functions(
        ast.parse((PACKAGE / name).read_text())
    ):
        where = f"{name}, line {function.lineno}: {function.name}"
        assert function.returns is not None, where
        missing = [each.arg for each in arguments if each.annotation is None]
        assert missing == [], where


def test_type_checkers_see_the_public_names():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    seen = {
        alias.asname
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == set(keras_dqn.__all__)
