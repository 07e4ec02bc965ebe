"""The command line that gives certain settings: the inverse of `cli.options`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from keras_dqn.cli.options import flag
from keras_dqn.config import FIELDS


def train_command(preset: str, changes: Mapping[str, Any], backend: str = "") -> str:
    """Returns the command that trains with a preset and changes.

    Args:
        preset: Name of the preset.
        changes: Dictionary from fields of `Settings` to values.
        backend: Name of the Keras backend, or `""` to leave it out.

    Returns:
        A line for a POSIX shell.
    """
    words = ["keras-dqn", "train", "--preset", preset]
    for name, value in changes.items():
        words += words_of(name, value)
    variable = [f"KERAS_BACKEND={shlex.quote(backend)}"] if backend else []
    return " ".join([*variable, shlex.join(words)])


def words_of(name: str, value: Any) -> list[str]:
    """Returns the words of the command line that set the field `name` to `value`."""
    if FIELDS[name].metadata["kind"] == "flag":
        return [flag(name) if value else flag(name).replace("--", "--no-", 1)]
    text = _text(value)
    # "-5" would look like a flag.
    return [f"{flag(name)}={text}"] if text.startswith("-") else [flag(name), text]


def _text(value):
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(f"{x}:{_text(y)}" for x, y in value)
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return f"{value:.0f}" if is_whole else str(value)
