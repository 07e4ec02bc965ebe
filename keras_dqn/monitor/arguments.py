"""Checks the arguments `monitors` and `callbacks`."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from keras_dqn import checks
from keras_dqn import interfaces
from keras_dqn.monitor.base import Monitor


class _Own(Monitor):
    """A monitor of the user's own, which has these four methods."""

    def __init__(self, own: interfaces.Monitor) -> None:
        self._own = own

    def start(self, info):
        self._own.start(info)

    def write(self, progress):
        self._own.write(progress)

    def message(self, text):
        self._own.message(text)

    def close(self):
        self._own.close()


def as_monitor(monitors: Any) -> Any:
    """Returns a `Monitor`, `"auto"` or `None`.

    Args:
        monitors: One of these, or an `interfaces.Monitor`.

    Raises:
        TypeError: If it is something else. The message says what to write instead.
    """
    if monitors is None or isinstance(monitors, Monitor):
        return monitors
    if isinstance(monitors, str) and monitors == "auto":
        return monitors
    if isinstance(monitors, interfaces.Monitor) and not isinstance(monitors, type):
        return _Own(monitors)
    instead = "'auto'"
    if isinstance(monitors, str):
        instead = f"keras_dqn.monitor.make_console({monitors!r})"
    elif isinstance(monitors, list | tuple):
        instead = f"keras_dqn.monitor.Monitors({checks.shown(monitors)})"
    elif isinstance(monitors, type):
        instead = f"{monitors.__name__}(...)"
    rule = "'auto', None or one `Monitor` (functions go into `callbacks`)"
    raise checks.wrong_kind("monitors", rule, monitors, instead)


def check_callbacks(callbacks: object) -> None:
    """Raises an error unless `callbacks` is a list or tuple of suitable callbacks.

    Raises:
        TypeError: If it is something else, or an item is neither a function of two
            arguments nor a Keras callback. The message says what to write instead.
    """
    name = "callback(agent, progress)"
    if not isinstance(callbacks, list | tuple):
        shown = getattr(callbacks, "__name__", "...") if callbacks else ""
        rule = f"a list of functions `{name}`"
        raise checks.wrong_kind("callbacks", rule, callbacks, f"[{shown}]")
    for i, callback in enumerate(callbacks):
        if not (_takes_two(callback) or _is_of_keras(callback)):
            rule = f"a function `{name}` or a Keras callback, not a class"
            instead = "lambda agent, progress: ..."
            raise checks.wrong_kind(f"callbacks[{i}]", rule, callback, instead)


def _is_of_keras(callback):
    """Whether `callback` is a Keras callback. If it is, Keras was imported."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(callback, keras.callbacks.Callback)


def _takes_two(callback):
    """Whether `callback` is a function of two arguments, and not a class."""
    if not callable(callback) or isinstance(callback, type):
        return False
    try:
        inspect.signature(callback).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some functions written in C have no signature
        pass
    return True
