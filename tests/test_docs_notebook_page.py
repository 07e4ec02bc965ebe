"""The notebooks of the documents as files, and as pages of the site."""

import importlib

import nbformat
import pytest

from tests import notebooks
from tests.documents import ROOT

pytestmark = pytest.mark.numpy


@pytest.fixture
def notebook_page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("notebook_page")


def test_there_are_notebooks():
    assert "cartpole.ipynb" in notebooks.NOTEBOOKS


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_a_notebook_is_valid_listed_and_kept_without_outputs(name, notebook_page):
    notebook = notebooks.read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 3
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
        compile(cell.source, name, "exec")
    notebooks.shortened(notebook)  # what it replaces is there
    listed = (ROOT / "mkdocs.yml").read_text()
    assert f"- {notebook_page.name_of(name)}\n" in listed


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_the_page_has_all_text_and_code_in_order(name, notebook_page):
    notebook = notebooks.read(name)
    page = notebook_page.markdown((ROOT / "docs" / name).read_text(), name)
    assert page.startswith("# ")
    assert f"]({name})" in page
    position = 0
    for cell in notebook.cells:
        block = cell.source
        if cell.cell_type == "code":
            block = f"\n```python\n{cell.source}\n```\n"
        position = page.index(block, position)


def test_only_the_names_of_notebooks_become_names_of_pages(notebook_page):
    assert notebook_page.name_of("a/b.ipynb") == "a/b.md"
    assert notebook_page.name_of("a/b.md") == "a/b.md"
