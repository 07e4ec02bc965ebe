"""The documents and docstrings whose examples are run."""

import doctest
import importlib
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_dqn"
README = (ROOT / "README.md").read_text()
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
NEED_KERAS = ("keras_dqn.algorithms.distributions", "keras_dqn.models.heads")
_BLOCK = re.compile(
    r"(?:^<!-- test: ([^\n]*) -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def python_blocks(text):
    """Yields a page's Python blocks, with the hours taken out of them.

    A comment above a block says what is replaced: `2**14 -> 2**10; this -> that`.
    Blocks with a title are copied from the source, and not among them.
    """
    for replacements, code in _BLOCK.findall(text):
        for replacement in filter(None, replacements.split("; ")):
            old, new = replacement.split(" -> ")
            assert code.count(old) == 1, f"{old!r} is not once in:\n{code}"
            code = code.replace(old, new)
        yield code


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
