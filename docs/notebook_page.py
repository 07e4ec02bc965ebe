"""Makes a page of the site from a notebook: its text and its code, without outputs."""

import json


def name_of(name):
    """Returns the name of a notebook's page; other names stay as they are."""
    return f"{name.removesuffix('.ipynb')}.md" if name.endswith(".ipynb") else name


def markdown(text, name):
    """Returns the page.

    Args:
        text: String, the notebook: JSON, nbformat 4.
        name: String, the name of its file, to which the page links.
    """
    first, *others = map(_block, json.loads(text)["cells"])
    return "\n\n".join([first, f"[This page as a notebook]({name})", *others, ""])


def _block(cell):
    source = "".join(cell["source"]).strip("\n")
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
