"""What the commands say and do before they import Keras, which takes seconds."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator

from keras_dqn.monitor import PlainConsole

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Lines of C++ libraries, some of which do not heed that level.
_NOTES = re.compile(
    rb"WARNING: All log messages before absl|[IW]\d{4} \d\d:|E\d{4} .*cuInit|"
    rb"\d{4}-\d\d-\d\d \d\d:\S+: [IW] |To enable the following instructions"
)


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's notes away, unless the user has set their level.

    They are about the processor and about missing GPUs. Errors are still shown.
    """
    os.environ.setdefault(_LEVEL, "2")


def load_keras(is_said: bool = True) -> None:
    """Imports Keras and its backend, if that was not done before.

    Args:
        is_said: Boolean, whether to print a line before, so that the screen is not
            empty.
    """
    if "keras" in sys.modules:
        return
    quiet_tensorflow()  # a program that is no command has not done it
    if is_said:
        PlainConsole().message(f"Loading keras and {backend_name()} ...")
    with without_notes():
        from keras_dqn.backend import loading  # here: it needs a Keras backend

        loading.load_all()


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Keeps the notes of C++ libraries off the standard error.

    Other lines are shown at the end. If the user has chosen a level, all are shown.
    """
    try:
        is_wanted = os.environ.get(_LEVEL, "2") == "2"
        shown = os.dup(2) if is_wanted else None
    except OSError:  # there is no standard error
        shown = None
    if shown is None:
        yield
        return
    with tempfile.TemporaryFile() as held:
        try:
            os.dup2(held.fileno(), 2)
            yield
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            held.seek(0)
            for line in held:
                if not _NOTES.match(line):
                    os.write(2, line)


def backend_name() -> str:
    """Returns the backend that Keras will use: by the environment or `keras.json`.

    Reference:
        - [Configuring your backend](https://keras.io/getting_started/)
    """
    name = os.environ.get("KERAS_BACKEND")
    if name:
        return name
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    try:
        values = json.loads((pathlib.Path(home) / "keras.json").read_text())
        return str(values["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
