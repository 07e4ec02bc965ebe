"""The README's code, and the docstrings' examples that need Keras, on a backend."""

import re

import keras
import numpy as np
import pytest

from tests.documents import NEED_KERAS
from tests.documents import README
from tests.documents import modules_with_examples
from tests.documents import run_examples

_BLOCK = re.compile(
    r"(?:^<!-- test: ([^\n]*) -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def readme_code():
    """Yields the README's Python blocks, with the hours taken out of them.

    A comment above a block says what is replaced: `2**14 -> 2**10; this -> that`.
    """
    for replacements, code in _BLOCK.findall(README):
        for replacement in filter(None, replacements.split("; ")):
            old, new = replacement.split(" -> ")
            assert code.count(old) == 1, f"{old!r} is not once in:\n{code}"
            code = code.replace(old, new)
        yield code


def test_the_code_of_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = list(readme_code())
    assert len(blocks) == 4
    seen = {}
    for code in blocks:
        exec(compile(code, "README.md", "exec"), seen)
    printed = capsys.readouterr().out
    assert "ALE/Breakout: mean score" in printed
    assert "CartPole-v1: mean score" in printed
    assert seen["q_values"].shape == (1, 4)
    assert 0 <= seen["action"] < 4
    assert (tmp_path / "breakout.keras").is_file()
    # `fit` did train: the model is no longer what it was copied from.
    before = keras.ops.convert_to_numpy(seen["agent"].network(np.ones((1, 4))))
    after = keras.ops.convert_to_numpy(seen["model"](np.ones((1, 4), "float32")))
    assert not np.allclose(before, after)


@pytest.mark.parametrize("name", NEED_KERAS)
def test_the_examples_in_docstrings_give_what_they_show(name):
    assert name in set(modules_with_examples())
    assert run_examples(name) > 0
