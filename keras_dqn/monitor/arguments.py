"""Refuses what cannot be told of a run, with what to write instead."""

from __future__ import annotations

import inspect

from keras_dqn import checks
from keras_dqn.monitor.base import Monitor


def check_monitors(monitors: object) -> None:
    """Refuses what is not `"auto"`, `None` or a `Monitor`.

    Raises:
        TypeError: With what to write instead.
    """
    if monitors is None or isinstance(monitors, Monitor):
        return
    if isinstance(monitors, str) and monitors == "auto":
        return
    instead = "'auto'"
    if isinstance(monitors, str):
        instead = f"keras_dqn.monitor.make_console({monitors!r})"
    elif isinstance(monitors, list | tuple):
        instead = f"keras_dqn.monitor.Monitors({checks.shown(monitors)})"
    elif isinstance(monitors, type):
        instead = f"{monitors.__name__}(...)"
    rule = "'auto', None or one `Monitor` (functions belong into `callbacks`)"
    raise checks.wrong_kind("monitors", rule, monitors, instead)


def check_callbacks(callbacks: object) -> None:
    """Refuses what is not a list or tuple of functions of two arguments.

    Raises:
        TypeError: With what to write instead.
    """
    name = "callback(agent, progress)"
    if not isinstance(callbacks, list | tuple):
        shown = getattr(callbacks, "__name__", "...") if callbacks else ""
        rule = f"a list of functions `{name}`"
        raise checks.wrong_kind("callbacks", rule, callbacks, f"[{shown}]")
    for i, callback in enumerate(callbacks):
        if not _takes_two(callback):
            rule = f"a function `{name}`, no class and none of Keras's callbacks"
            instead = "lambda agent, progress: ..."
            raise checks.wrong_kind(f"callbacks[{i}]", rule, callback, instead)


def _takes_two(callback):
    """Whether it is called with two arguments. A class would make an object of them."""
    if not callable(callback) or isinstance(callback, type):
        return False
    try:
        inspect.signature(callback).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some functions written in C have no signature
        pass
    return True
