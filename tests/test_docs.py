"""What the documents and the docstrings say about names and numbers is so."""

import ast
import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import re
import tomllib

import pytest

from keras_dqn import papers
from keras_dqn import presets
from keras_dqn.cli import __main__
from keras_dqn.cli.options import flag
from keras_dqn.config import Settings
from keras_dqn.envs import AtariEnvs
from keras_dqn.monitor import JsonLines
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.runs.provenance import CHANGEABLE
from keras_dqn.system.exit_codes import MEANINGS
from tests import runs
from tests.documents import NEED_KERAS
from tests.documents import PACKAGE
from tests.documents import PAGES
from tests.documents import README
from tests.documents import ROOT
from tests.documents import modules_with_examples
from tests.documents import run_examples
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMANDS = ("python examples/", "keras-dqn")

TEXT = "\n\n".join(PAGES.values())

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SOURCE = re.compile(
    r'^```python title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL
)


def code_blocks(language, text=TEXT):
    return [match[2] for match in _FENCE.finditer(text) if match[1] == language]


def text_after(marker):
    """The paragraph or table under a comment."""
    _, found = TEXT.split(f"<!-- {marker} -->\n")
    return found.split("\n\n")[0]


def table_after(marker):
    """The rows of the table under a comment, as lists of cells without backticks."""
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in text_after(marker).splitlines()[2:]
    ]


def _is_ours(span):
    return any(span.startswith(command) for command in COMMANDS)


def known_flags():
    """The flags in `--help` of the commands."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for name in __main__.COMMANDS:
            assert runs.command(name, "--help") == 0
    return set(re.findall(r"--[a-z][a-z-]+", printed.getvalue()))


def test_every_flag_in_the_documents_exists():
    words = "\n".join(
        line
        for line in "\n".join(code_blocks("bash")).splitlines()
        if any(command in line for command in COMMANDS)
    )
    spans = re.findall(r"`(--[^`]+)`", TEXT)
    spans += [span for span in re.findall(r"`([^`\n]+)`", TEXT) if _is_ours(span)]
    mentioned = set(re.findall(r"--[a-z][a-z-]+", " ".join([words, *spans])))
    assert {"--env-steps", "--out", "--resume", "--smoke"} <= mentioned
    assert mentioned - known_flags() == set()


def test_the_two_commands_are_those_of_the_project():
    blocks = code_blocks("bash", README)
    run, test = (block for block in blocks if block.count("\n") == 1)
    assert run == (
        'pip install ".[jax]" && KERAS_BACKEND=jax python examples/breakout.py\n'
    )
    assert test == "pip install tox && tox\n"
    assert test.strip() in (ROOT / ".ci/run").read_text()
    extras = {"jax", "torch", "tensorboard", "video", "plot", "completion", "export"}
    assert extras | {"all"} == set(PROJECT["optional-dependencies"])
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(re.findall(r"[a-z]+(?=[,\]])", everything)) == extras
    assert all(f".[{extra}" in README for extra in extras - {"torch", "completion"})


def test_the_documents_name_every_example_and_no_other():
    named = set(re.findall(r"examples/[\w/]+\.py", TEXT))
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert {f"examples/{path.name}" for path in ROOT.glob("examples/*.py")} <= named


def without_layout(code):
    """Code without white space, since a formatter breaks lines by their indentation."""
    return re.sub(r"\s+|,(?=\s*[)\]}])", "", code)


def test_the_code_copied_into_the_pages_is_that_of_the_source():
    copied = [found for text in PAGES.values() for found in _SOURCE.findall(text)]
    assert len(copied) > 20
    for name, code in copied:
        source = (ROOT / name).read_text()
        assert without_layout(code) in without_layout(source), f"{name}:\n{code}"


def test_every_link_of_the_documents_leads_somewhere():
    for path in [*(ROOT / name for name in PAGES), *ROOT.glob("tests/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            is_web = target.startswith("https://")
            assert is_web or (path.parent / target).is_file(), f"{path.name}: {target}"


def test_the_table_of_presets_is_made_from_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    preset_table = importlib.import_module("preset_table")
    page = preset_table.PAGE.read_text()
    assert preset_table.updated(page) == page
    assert len(table_after("table: presets")) > 10
    changed = page.replace("| `gamma` | 0.99 |", "| `gamma` | 0.98 |")
    assert changed != page
    assert preset_table.updated(changed) == page


def test_the_exit_codes_in_the_documents_are_all_there_are():
    rows = table_after("test: exit codes")
    assert {int(code): meaning for code, meaning in rows} == MEANINGS


def test_every_test_that_the_table_of_faults_names_exists():
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(\w+)::(\w+)`", text)
    assert len(named) > 80
    for file, test in named:
        code = (ROOT / "tests" / f"test_{file}.py").read_text()
        assert f"def test_{test}(" in code, f"{file}::{test}"
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]\d", line)]
    for row in rows:
        for name in re.findall(r"`([a-z_]+)`", row.rpartition(" | ")[2]):
            assert (ROOT / "tests" / f"test_{name}.py").exists(), row
        for name in re.findall(r"`(benchmarks/\w+\.py)`", row):
            assert (ROOT / name).exists(), name


def test_the_documents_name_what_a_resumed_run_may_change():
    named = re.findall(r"`(--[a-z-]+)`", text_after("test: changeable"))
    assert sorted(named) == sorted(flag(name) for name in CHANGEABLE)


def test_the_documents_name_every_preset():
    assert all(f"presets.{name}()" in TEXT for name in presets.OURS)
    assert all(f"| `{name}` |" in TEXT for name in papers.PAPERS)


def test_the_documents_name_every_command():
    (commands,) = (block for block in code_blocks("bash") if "verify-resume" in block)
    named = {line.split()[1] for line in commands.splitlines()}
    assert named == set(__main__.COMMANDS)


def test_the_environment_options_in_the_documents_are_those_of_make_envs():
    rows = table_after("test: options of make_envs")
    assert len(rows) > 5
    parameters = inspect.signature(AtariEnvs).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    settings = presets.breakout()
    for name, default, preset, _ in rows:
        assert ast.literal_eval(default) == defaults[name], name
        assert ast.literal_eval(preset) == getattr(settings, name), name
    assert {name for name, *_ in rows} == set(defaults) - {"num_threads"}


def test_the_memory_in_the_documents_is_what_the_replay_takes():
    rows = table_after("test: memory")
    assert len(rows) == 3
    for capacity, nbytes in rows:
        replay = PrioritizedReplay(int(capacity))
        assert int(nbytes) == replay.nbytes_when_full(
            num_envs=8, stored_shape=(4, 84, 84), dtype="uint8", frame_stack=4
        )


def test_the_fields_of_the_log_in_the_documents_are_those_that_are_written(tmp_path):
    log = tmp_path / "metrics.jsonl"
    with JsonLines(log) as monitor:
        monitor.start(make_info())
        monitor.write(make_progress(0))
    (record,) = (
        line
        for line in map(json.loads, log.read_text().splitlines())
        if line["type"] == "metrics"
    )
    rows = text_after("test: metrics").splitlines()[2:]
    named = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows))
    assert {"type", "env_steps", "time", *named} == set(record)


def test_the_test_environments_install_what_the_package_requires():
    """Without TensorFlow, whose absence they are for."""
    tox = (ROOT / "tox.ini").read_text()
    for requirement in PROJECT["dependencies"]:
        if requirement.startswith("keras"):
            assert tox.count(f"    {requirement}\n") == 2, requirement
        elif not requirement.startswith("tensorflow"):
            assert tox.count(f"    {requirement}\n") == 1, requirement


def docstrings():
    """Yields `(id, node, docstring)` of each documented class and function."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    where = f"{path.relative_to(PACKAGE)}:{node.lineno}:{node.name}"
                    yield where, node, text


def documented_arguments(docstring):
    """The names under `Args:`, or `None` without such a section."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    if section is None:
        return None
    lines = re.findall(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*):", section[1], re.MULTILINE)
    return [name for line in lines for name in line.split(", ")]


def arguments(node):
    """The parameters of a function, or those of a class: of `__init__` or fields."""
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if getattr(n, "name", "") == "__init__"]
        if not inits:
            fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
            return [field.target.id for field in fields]
        node = inits[0]
    parameters = node.args
    names = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
    names = [argument.arg for argument in names]
    if parameters.vararg:
        names.append(f"*{parameters.vararg.arg}")
    if parameters.kwarg:
        names.append(f"**{parameters.kwarg.arg}")
    return [name for name in names if name not in ("self", "cls")]


DOCUMENTED = [
    pytest.param(node, text, id=where)
    for where, node, text in docstrings()
    if documented_arguments(text) is not None
]


def test_the_walk_finds_arguments_under_their_heading():
    text = (
        "Does.\n\nArgs:\n    a, b: Two.\n        c: no.\n    **d: Rest.\n\nReturns:\n"
    )
    assert documented_arguments(text) == ["a", "b", "**d"]
    assert documented_arguments("Does.\n\nReturns:\n    a: this.") is None
    assert len(DOCUMENTED) > 50


@pytest.mark.parametrize(("node", "text"), DOCUMENTED)
def test_the_arguments_of_a_docstring_are_those_of_the_signature(node, text):
    documented, actual = documented_arguments(text), arguments(node)
    if isinstance(node, ast.ClassDef) and node.bases and not actual:
        return  # all inherited
    # What is handed on to Keras is documented there.
    assert set(documented) == set(actual) - ({"**kwargs"} - set(documented))


def test_the_settings_have_a_meaning_each():
    for field in dataclasses.fields(Settings):
        assert field.metadata["help"], field.name


@pytest.mark.parametrize(
    "name", [name for name in modules_with_examples() if name not in NEED_KERAS]
)
def test_the_examples_in_docstrings_give_what_they_show(name):
    assert run_examples(name) > 0
