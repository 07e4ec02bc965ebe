"""The code of the pages, and the docstrings' examples that need Keras, on a backend."""

import keras
import numpy as np
import pytest

from tests.documents import NEED_KERAS
from tests.documents import PAGES
from tests.documents import modules_with_examples
from tests.documents import python_blocks
from tests.documents import run_examples

BLOCKS = {name: list(python_blocks(text)) for name, text in PAGES.items()}
# With checks of what they leave, below.
CHECKED = (
    "README.md",
    "docs/network.md",
    "docs/environment.md",
    "docs/use.md",
    "docs/resume.md",
)
OTHERS = [name for name in BLOCKS if BLOCKS[name] and name not in CHECKED]


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    """A function that runs the code of a page from top to bottom."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        seen = {"__name__": "page"}
        for code in BLOCKS[name]:
            exec(compile(code, name, "exec"), seen)
        return seen

    return run


def test_the_code_of_the_readme_runs_from_top_to_bottom(run_page, capsys, tmp_path):
    seen = run_page("README.md")
    assert len(BLOCKS["README.md"]) == 2
    assert "ALE/Breakout: mean score" in capsys.readouterr().out
    assert seen["q_values"].shape == (1, 4)
    assert 0 <= seen["action"] < 4
    assert (tmp_path / "breakout.keras").is_file()


def test_a_network_of_your_own_is_trained_with_environments_and_offline(
    run_page, capsys
):
    seen = run_page("docs/network.md")
    assert len(BLOCKS["docs/network.md"]) == 3
    assert "CartPole-v1: mean score" in capsys.readouterr().out
    # `fit` did train: the model is no longer what it was copied from.
    before = keras.ops.convert_to_numpy(seen["agent"].network(np.ones((1, 4))))
    after = keras.ops.convert_to_numpy(seen["model"](np.ones((1, 4), "float32")))
    assert not np.allclose(before, after)
    assert seen["presser"].replay.size == 320


def test_an_environment_of_your_own_is_played(run_page, capsys):
    seen = run_page("docs/environment.md")
    assert "Corridor: mean score" in capsys.readouterr().out
    assert seen["agent"].replay.size == 320


def test_a_trained_network_is_used_saved_and_loaded(run_page, tmp_path):
    seen = run_page("docs/use.md")
    assert 8 <= seen["score"] <= 500
    assert seen["q_values"].shape == (1, 2)
    # `policy` is now that of the network that was saved and loaded.
    again = seen["policy"](seen["observations"])
    assert seen["actions"].tolist() == again.tolist()
    assert seen["action"] == seen["q_values"][0].argmax()
    assert (tmp_path / "cartpole.keras").is_file()


def test_a_run_is_resumed_from_python(run_page, tmp_path, capfd):
    run_page("docs/resume.md")
    text = capfd.readouterr().out
    assert "Loaded checkpoint: runs/mine" in text and "2816 agent steps" not in text
    names = {path.name for path in (tmp_path / "runs/mine/checkpoints").iterdir()}
    assert "checkpoint-000000002816" in names


@pytest.mark.parametrize("name", OTHERS)
def test_the_code_of_a_page_runs_from_top_to_bottom(name, run_page):
    run_page(name)


@pytest.mark.parametrize("name", NEED_KERAS)
def test_the_examples_in_docstrings_give_what_they_show(name):
    assert name in set(modules_with_examples())
    assert run_examples(name) > 0
