"""Checks of arguments. Each error names the argument, the rule and the value.

Each function returns the value in its plain Python type, or raises `ArgumentError`,
which is a `ValueError`.
"""

from __future__ import annotations

import collections.abc
import difflib
import math
import numbers
import sys
from typing import Any

LARGEST_COUNT = 2**63 - 1  # what an int64 counter holds


class ArgumentError(ValueError):
    """An argument has a wrong value.

    Args:
        name: String, the argument's name.
        rule: String, what the argument must be. It follows "must be" in the message.
        value: The value received.
        hint: String, a sentence after the rule, or `""`.
    """

    def __init__(self, name: str, rule: str, value: object, hint: str = "") -> None:
        received = f"Received: {name}={shown(value)}"
        super().__init__(f"`{name}` must be {rule}.{hint} {received}")
        self.rule = rule


def wrong_kind(name: str, rule: str, value: object, instead: str) -> TypeError:
    """Returns a `TypeError` for a value of the wrong type, with one to use instead.

    Args:
        name: The argument's name.
        rule: What the argument must be. It follows "must be" in the message.
        value: The value received.
        instead: Python expression to write instead.
    """
    received = f"Received: {name}={shown(value)}"
    return TypeError(f"`{name}` must be {rule}. Write {name}={instead}. {received}")


def instance(name: str, value: object, kind: type, instead: str) -> None:
    """Raises `TypeError` unless `value` is `None` or an instance of `kind`."""
    if value is not None and not isinstance(value, kind):
        raise wrong_kind(name, f"a `{kind.__name__}` or None", value, instead)


def integer(name: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """Returns `value` as an `int` from `minimum` to `maximum`, both included."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        exact = int(value)
        if minimum <= exact and (maximum is None or exact <= maximum):
            return exact
    rule = f"an integer of at least {minimum}"
    if maximum is not None:
        largest = "2**63 - 1" if maximum == LARGEST_COUNT else maximum
        rule = f"an integer from {minimum} to {largest}"
    raise ArgumentError(name, rule, value)


def number(
    name: str,
    value: object,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
) -> float:
    """Returns `value` as a finite `float`.

    Args:
        name: The argument's name, for the message.
        value: Any object.
        minimum: Smallest valid value.
        maximum: Largest valid value.
        above: Value that `value` must exceed.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # an integer beyond the range of floats
            found = math.nan
        if math.isfinite(found) and minimum <= found <= maximum and found > above:
            return found
    rule = "a finite number"
    if above > -math.inf:
        rule += f" above {above:g}"
    elif maximum < math.inf:
        rule = f"a number from {minimum:g} to {maximum:g}"
    elif minimum > -math.inf:
        rule += f" of at least {minimum:g}"
    raise ArgumentError(name, rule, value)


def probability(name: str, value: object) -> float:
    """Returns `value` as a `float` from 0 to 1."""
    return number(name, value, minimum=0.0, maximum=1.0)


def boolean(name: str, value: object) -> bool:
    """Returns `value` as a `bool`. Numbers and strings are refused."""
    # A NumPy boolean exists only where NumPy is loaded; `--help` does without it.
    numpy = sys.modules.get("numpy")
    is_numpy = numpy is not None and isinstance(value, numpy.bool_)
    if not (isinstance(value, bool) or is_numpy):
        raise ArgumentError(name, "true or false", value)
    return bool(value)


def name(argument: str, value: object) -> str:
    """Returns `value` if it is a printable string without outer whitespace."""
    if isinstance(value, str) and value and value.isprintable():
        if value == value.strip():
            return str(value)
    rule = "a printable, non-empty string without spaces around it"
    raise ArgumentError(argument, rule, value)


def choice(
    name: str, value: object, choices: collections.abc.Iterable[str | bool]
) -> Any:
    """Returns `value` if it is one of `choices`: strings, and possibly booleans."""
    choices = tuple(choices)
    if not isinstance(value, str | bool) or value not in choices:
        rule = "one of " + ", ".join(map(repr, choices))
        words = [each for each in choices if isinstance(each, str)]
        raise ArgumentError(name, rule, value, did_you_mean(value, words))
    return str(value) if isinstance(value, str) else value


def did_you_mean(
    name: object, known: collections.abc.Iterable[str], count: int = 1
) -> str:
    """Returns `" Did you mean `x`?"`, or `""` if no known name is similar.

    Args:
        name: The unknown name.
        known: The known names.
        count: Largest number of suggestions.
    """
    if not isinstance(name, str):
        return ""
    key = _folded(name[:80])
    by_key = {_folded(candidate): candidate for candidate in reversed([*known])}
    longer = [found for found in by_key if len(key) > 2 and found.startswith(key)]
    near = longer or difflib.get_close_matches(key, by_key, n=count)
    names = " or ".join(f"`{by_key[found]}`" for found in near[:count])
    return f" Did you mean {names}?" if near else ""


def shown(value: object) -> str:
    """Returns the repr of `value` in one line of at most 80 characters."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # integers of many digits, deep nesting
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _folded(name):
    return name.lower().replace("_", "").replace("-", "")
