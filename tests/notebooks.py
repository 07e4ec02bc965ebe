"""The notebooks of the documents: as they are in the repository, and executed."""

import nbclient
import nbformat

from tests.documents import ROOT

NOTEBOOKS = sorted(path.name for path in (ROOT / "docs").glob("*.ipynb"))


def read(name):
    return nbformat.read(ROOT / "docs" / name, as_version=4)


def shortened(notebook):
    """Returns it with the hours taken out: a cell's metadata say what is replaced."""
    for cell in notebook.cells:
        for replacement in cell.metadata.get("test", ()):
            old, new = replacement.split(" -> ")
            assert cell.source.count(old) == 1, (
                f"{old!r} is not once in:\n{cell.source}"
            )
            cell.source = cell.source.replace(old, new)
    return notebook


def execute(notebook, folder):
    """Runs all cells in a kernel in `folder`; raises an error if one of them fails."""
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute()
