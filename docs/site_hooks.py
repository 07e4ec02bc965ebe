"""What MkDocs does not do by itself, for `mkdocs.yml`.

The page of the API lists the public names of `keras_dqn`, read from its source.
Pages that lie beside `docs/` become pages of the site, and links from one page to
another work in the site as they do in the repository. Notebooks become pages, see
`notebook_page.py`. Formulas (`math` blocks, which
GitHub draws too) become SVG drawings, which need neither a script nor a font.
Nothing is loaded from the network.
"""

import ast
import html
import os.path
import pathlib
import re

import notebook_page
import ziamath
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "benchmarks/learning/README.md",
    "examples/apps/README.md",
    "tests/reference_rows.md",
)
PICTURES = ("benchmarks/learning/curves/*.png",)
SHIM = "https://unpkg.com/iframe-worker/shim"
NAMES = "<!-- public names -->"
WITH_INHERITED = ("keras_dqn.agent.DQNAgent",)  # from classes with no page
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)")
_MATH = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def on_files(files, config):
    """Adds the pages and pictures from outside of `docs/`."""
    pictures = (path for pattern in PICTURES for path in ROOT.glob(pattern))
    for path in [*(ROOT / name for name in PAGES), *pictures]:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted(ROOT.glob("docs/*.ipynb")):
        page = notebook_page.markdown(path.read_text(encoding="utf-8"), path.name)
        name = notebook_page.name_of(path.name)
        files.append(File.generated(config, name, content=page))
    return files


def on_page_markdown(markdown, page, config, files):
    """Replaces links and formulas."""
    # The page of a notebook has no file.
    source = pathlib.Path(page.file.abs_src_path or ROOT / "docs" / page.file.src_uri)

    def link(match):
        mark, text, target, anchor = match.groups(default="")
        path = os.path.relpath(source.parent / target, ROOT).replace(os.sep, "/")
        if not (ROOT / path).exists():
            return match[0]  # which MkDocs reports
        name = path.removeprefix("docs/")
        if files.get_file_from_path(name) is None:  # not in the site, such as a program
            return text if text.strip("`") == path else f"{text} (`{path}`)"
        if notebook_page.name_of(name) != page.file.src_uri:
            name = notebook_page.name_of(name)
        here = os.path.dirname(page.file.src_uri)
        return f"{mark}[{text}]({os.path.relpath(name, here or '.')}{anchor})"

    markdown = _MATH.sub(formula, _LINK.sub(link, markdown))
    return markdown.replace(NAMES, public_names())


def on_post_page(output, page, config):
    """Replaces the script that Material's plugin `offline` takes from the network."""
    here = os.path.dirname(page.file.dest_uri)
    return output.replace(SHIM, os.path.relpath("search_worker.js", here or "."))


def on_post_build(config):
    """Removes the page for a wrong address, whose links need a server's root."""
    (pathlib.Path(config["site_dir"]) / "404.html").unlink()


def formula(match):
    """Returns a formula as a drawing, in the color of the text."""
    latex = match[1].strip()
    drawing = ziamath.Latex(latex, size=20, color="currentColor").svg()
    label = html.escape(latex, quote=True)
    return f'<div class="formula" role="img" aria-label="{label}">{drawing}</div>'


def public_names():
    """Returns what mkdocstrings replaces by the docstrings of all public names.

    Names of a public module are described with it.
    """
    tree = ast.parse((ROOT / "keras_dqn" / "__init__.py").read_text())
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("_MODULES", "_NAMES")
    }
    modules = [f"keras_dqn.{name}" for name in found["_MODULES"]]
    names = [
        f"{module}.{name}"
        for name, module in found["_NAMES"].items()
        if module not in modules
    ]
    blocks = {name: f"::: {name}" for name in [*names, *modules]}
    for name in WITH_INHERITED:
        blocks[name] += "\n    options:\n      inherited_members: true"
    return "\n\n".join(blocks.values())
