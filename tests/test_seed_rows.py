"""Every row of the checklist in `seed_rows.md` has a test that names it.

The checklist is what the program that this library rebuilds does. A test that
breaks when a row is broken carries `@pytest.mark.seed(row, ...)`.
"""

import ast
import pathlib
import re

import pytest

pytestmark = pytest.mark.numpy

TESTS = pathlib.Path(__file__).resolve().parent
ROWS = range(1, 64)
_ROW = re.compile(r"\| (\d+) \| (\S.*) \| (\S.*) \|")


def marked_rows(source):
    """Yields the rows in all calls of `pytest.mark.seed` in a source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.seed":
            for argument in node.args:
                yield ast.literal_eval(argument)


def rows_by_file():
    return {
        path.name: set(marked_rows(path.read_text()))
        for path in sorted(TESTS.glob("test_*.py"))
    }


def listed_rows():
    lines = (TESTS / "seed_rows.md").read_text().splitlines()
    return [int(match[1]) for match in map(_ROW.fullmatch, lines) if match]


def test_marks_are_read_wherever_they_stand():
    source = """
pytestmark = [pytest.mark.numpy, pytest.mark.seed(1)]

@pytest.mark.seed(2, 3)
def test_that(): ...

TestIt = pytest.mark.seed(4)(Machine.TestCase)
"""
    assert sorted(marked_rows(source)) == [1, 2, 3, 4]


def test_every_row_has_a_test():
    covered = set().union(*rows_by_file().values())
    assert sorted(set(ROWS) - covered) == []


def test_no_test_names_a_row_that_does_not_exist():
    unknown = {name: rows - set(ROWS) for name, rows in rows_by_file().items()}
    assert not {name: rows for name, rows in unknown.items() if rows}


def test_the_checklist_lists_every_row_once_and_in_order():
    assert listed_rows() == list(ROWS)
