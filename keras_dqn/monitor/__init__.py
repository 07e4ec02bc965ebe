"""Monitors: they show or store the records of a run, and never change the run.

Every monitor has the methods of `Monitor`, and is a context manager. `Monitors` sends
each call to several. `Sink` gives the records to a tracker.

`LiveConsole` and `NotebookConsole` need rich, and `TensorBoard` needs tensorboardX.
Each is imported when it is first used.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any
from typing import TextIO

from keras_dqn import checks
from keras_dqn.monitor.base import Monitor
from keras_dqn.monitor.base import Monitors
from keras_dqn.monitor.info import RunInfo
from keras_dqn.monitor.jsonl import JsonLines
from keras_dqn.monitor.plain import PlainConsole
from keras_dqn.monitor.sinks import Sink
from keras_dqn.monitor.terminal import can_draw
from keras_dqn.monitor.terminal import is_notebook

__all__ = [
    "JsonLines",
    "LiveConsole",
    "Monitor",
    "Monitors",
    "NotebookConsole",
    "PlainConsole",
    "RunInfo",
    "Sink",
    "TensorBoard",
    "make_console",
]

_LAZY = {
    "LiveConsole": "keras_dqn.monitor.console",
    "NotebookConsole": "keras_dqn.monitor.notebook",
    "TensorBoard": "keras_dqn.monitor.tensorboard",
}
_MODES = ("auto", "live", "plain", "none")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def make_console(
    mode: str = "auto",
    stream: TextIO | None = None,
    log_interval_iterations: int = 10,
    metrics: str | os.PathLike[str] | None = None,
) -> Monitor:
    """Returns a console for `stream`: a live panel on a terminal, else lines.

    Args:
        mode: `"auto"`, `"live"`, `"plain"`, or `"none"` for a console that prints
            nothing. `"auto"` is `"live"` where `stream` is a notebook, or a terminal
            that can move its cursor, and `"plain"` elsewhere (a pipe, a file, a
            system for continuous integration).
        stream: Text stream. `None` is `sys.stdout`.
        log_interval_iterations: Int, at least 1. Iterations between two lines
            in plain mode. The live panel is drawn every half second instead, and in
            a notebook every second.
        metrics: Path of the run's `metrics.jsonl`. From it, a live panel knows what
            was before a resume. `None` if there is none.

    Returns:
        A `LiveConsole`, a `NotebookConsole`, a `PlainConsole`, or an empty
        `Monitors`, which prints nothing.

    Raises:
        ValueError: If `mode` is not one of these.
    """
    checks.choice("mode", mode, _MODES)
    stream = sys.stdout if stream is None else stream
    notebook = is_notebook(stream)
    if mode == "auto":
        mode = "live" if notebook or can_draw(stream) else "plain"
    if mode == "none":
        return Monitors([])
    if mode == "plain":
        return PlainConsole(stream, log_interval_iterations)
    if notebook:
        return __getattr__("NotebookConsole")(metrics=metrics)
    return __getattr__("LiveConsole")(stream, metrics=metrics)
