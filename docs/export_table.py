"""Rewrites the table of formats in `docs/export.md` from `keras_dqn.exporting`.

    python docs/export_table.py

What the table says is what the tests of `tests/test_exporting.py` export, open again
and compare, or see refused.
"""

import pathlib
import re

from keras_dqn.exporting import FORMATS

PAGE = pathlib.Path(__file__).resolve().parent / "export.md"
TABLE = re.compile(r"(?<=<!-- table: formats -->\n)(\|.*\n)+")
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def updated(text):
    """Returns the text of the page with a new table."""
    lines = [["format", *BACKENDS.values(), "opened again by"], ["---"] * 5]
    for name, found in FORMATS.items():
        cells = [_cell(found, backend) for backend in BACKENDS]
        lines.append([f"`{name}`", *cells, found.runtime])
    return TABLE.sub("".join(f"| {' | '.join(line)} |\n" for line in lines), text)


def _cell(found, backend):
    """Returns the precisions that a backend can write, and what it needs."""
    if backend not in found.needs:
        return "no"
    cell = ", ".join(("float32", *found.precisions.get(backend, ())))
    needs = " ".join(f"`{module}`" for module in found.needs[backend])
    return f"{cell}; needs {needs}" if needs else cell


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
