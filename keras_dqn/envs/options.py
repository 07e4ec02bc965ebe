"""Checks for options: each message has the name, the rule and the value."""

from __future__ import annotations

import difflib
import math
import numbers

import numpy as np


def _refuse(error, name, rule, value):
    raise error(f"`{name}` must be {rule}. Received: {name}={value!r}")


def integer(name, value, *, minimum, maximum=None):
    """Returns `value` as an `int` within the bounds, both inclusive."""
    rule = f"an integer of at least {minimum}"
    if maximum is not None:
        rule = f"an integer between {minimum} and {maximum}"
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        _refuse(TypeError, name, rule, value)
    if value < minimum or (maximum is not None and value > maximum):
        _refuse(ValueError, name, rule, value)
    return int(value)


def probability(name, value):
    """Returns `value` as a `float` between 0 and 1, both inclusive."""
    rule = "a number between 0 and 1"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        _refuse(TypeError, name, rule, value)
    if not math.isfinite(value) or not 0 <= value <= 1:
        _refuse(ValueError, name, rule, value)
    return float(value)


def boolean(name, value):
    """Returns `value` as a `bool`; 0, 1 and strings are refused."""
    if not isinstance(value, bool | np.bool_):
        _refuse(TypeError, name, "True or False", value)
    return bool(value)


def choice(name, value, choices):
    """Returns `value` if it is one of the strings in `choices`."""
    rule = "one of " + ", ".join(repr(c) for c in choices)
    if not isinstance(value, str):
        _refuse(TypeError, name, rule, value)
    if value not in choices:
        _refuse(ValueError, name, rule + did_you_mean(value, choices), value)
    return value


def did_you_mean(name, known, count=1):
    """Returns `' (did you mean ...?)'` with the nearest of `known`, or `''`."""
    folded = {}
    for candidate in known:
        folded.setdefault(candidate.lower().replace("_", ""), candidate)
    key = str(name).lower().replace("_", "")
    near = difflib.get_close_matches(key, list(folded), n=count, cutoff=0.5)
    if not near:
        return ""
    return f" (did you mean {' or '.join(repr(folded[n]) for n in near)}?)"
