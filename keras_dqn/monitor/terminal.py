"""What the standard output can show: whether it is a terminal or a notebook."""

from __future__ import annotations

import os
import sys
from typing import Any


def can_draw(stream: Any) -> bool:
    """Whether `stream` is a terminal that can move its cursor.

    It is false where `CI` is set: such systems keep a log, even of a terminal.
    """
    try:
        is_terminal = stream.isatty()
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    return is_terminal and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def is_notebook(stream: Any) -> bool:
    """Whether `stream` is the standard output of a notebook (Jupyter, Colab)."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return stream is sys.stdout and getattr(shell, "kernel", None) is not None
