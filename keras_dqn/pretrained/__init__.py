"""Trained networks that come with the package, each with a model card.

```python
network = keras_dqn.pretrained.load("breakout")
keras_dqn.DQNAgent(network).evaluate("Breakout", episodes=10)
```

`<name>.keras` is the network, `<name>.md` its card: how it was trained, the protocol of
its score, and the score with its interval.
"""

from __future__ import annotations

import pathlib

import keras

from keras_dqn import checks
from keras_dqn.models import load_network

_FOLDER = pathlib.Path(__file__).resolve().parent
ENV_IDS = {"breakout": "Breakout"}  # what each network plays


def names() -> tuple[str, ...]:
    """Returns the names of the networks."""
    return tuple(ENV_IDS)


def path(name: str) -> pathlib.Path:
    """Returns the path of a network's `.keras` file.

    Raises:
        ValueError: If there is no network of this name.
    """
    return _FOLDER / f"{checks.choice('pretrained', name, ENV_IDS)}.keras"


def load(name: str) -> keras.Model:
    """Returns a network, a `keras.Model` that is not compiled.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is no network of this name.
    """
    return load_network(path(name))


def card(name: str) -> str:
    """Returns the model card of a network, Markdown.

    Raises:
        ValueError: If there is no network of this name.
    """
    return path(name).with_suffix(".md").read_text()
