"""What a contributor is told: paths that exist, and one version of each tool."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.numpy
ROOT = pathlib.Path(__file__).resolve().parents[1]


def pinned(name):
    """The `package==version` that a file of the project asks for."""
    text = (ROOT / name).read_text()
    return set(re.findall(r"\b(?:ruff|mypy|numpy)==[\d.]+", text))


def test_commits_and_tox_are_checked_by_the_same_versions_of_the_same_tools():
    hooks = pinned(".pre-commit-config.yaml")
    assert {each.split("==")[0] for each in hooks} == {"ruff", "mypy", "numpy"}
    assert hooks == pinned("tox.ini")


def test_the_map_of_the_package_names_what_is_there_and_all_folders():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([^`]+)`", "".join(rows)))
    package = ROOT / "keras_dqn"
    assert len(named) > 10
    assert [name for name in named if not (package / name).exists()] == []
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert folders <= named
