"""Command-line flags for the fields of `Settings`.

Name, help and unit of a flag come from the field, and its default from the preset.
This module converts text to values. `Settings` checks the values.
"""

from __future__ import annotations

import argparse
import decimal
import math
import re
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NoReturn

from keras_dqn import presets
from keras_dqn.cli.parser import Parser
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.system.exit_codes import EXIT_CONFIG

_NUMBER = re.compile(
    r"(?P<digits>[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d+))"
    r"(?:[eE](?P<exponent>[+-]?\d{1,4}))?(?P<suffix>[kKMG]?)",
    re.ASCII,
)
_EXPONENTS = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9}
_LARGEST_EXPONENT = 20  # whole numbers stay far below 10**20


def add_settings(parser: Parser) -> None:
    """Adds one flag for each field of `Settings`, and `--help`.

    The parsed namespace has only those settings that the user typed, as text. See
    `settings_of`.

    Args:
        parser: `Parser`, created with `add_help=False`.
    """
    group = parser.add_argument_group(
        "settings", "Numbers may be written 1_000_000, 1e6, 1M or 64k."
    )
    for name, field in FIELDS.items():
        if field.metadata["kind"] == "flag":
            kwargs: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        else:
            kwargs = {"metavar": _metavar(field.metadata)}
        parser.settings[name] = group.add_argument(
            flag(name), dest=name, default=argparse.SUPPRESS, **kwargs
        )
    # Not argparse's `--help`: the defaults depend on flags that may come later.
    parser.add_argument(
        "-h", "--help", action="store_true", help="show this message and exit"
    )


def add_preset(parser: Any, default: str) -> None:
    """Adds `--preset`. The namespace has `preset` only if the user typed it.

    Args:
        parser: `Parser` or a group of one.
        default: Name of the preset that is the default.
    """
    names = ", ".join(presets.names())
    parser.add_argument(
        "--preset",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help=f"one of {names}: the settings to start from (default: {default})",
    )


def settings_of(
    parser: Parser,
    namespace: argparse.Namespace,
    preset: str | Callable[..., Settings],
    changes: Mapping[Any, Mapping[str, Any]] | None = None,
) -> Settings:
    """Returns the `Settings` from the command line.

    Args:
        parser: `Parser` with the flags of `add_settings`.
        namespace: The parsed namespace.
        preset: Name of a preset, or a function of changes that returns `Settings`,
            such as `settings.replace`.
        changes: Dictionary from names of presets to dictionaries of changed fields.
            The command line takes precedence over them.

    Raises:
        SystemExit: With `EXIT_CONFIG` for a wrong value, after a message of one or two
            lines. With 0 after `--help`.
    """
    try:
        start = presets.get(preset) if isinstance(preset, str) else preset
        first = (changes or {}).get(preset, {})
        if namespace.help:
            _show_help(parser, start(**first))
        given = {
            name: value_from_text(name, value)
            for name, value in vars(namespace).items()
            if name in FIELDS
        }
        settings = start(**{**first, **given})
        from keras_dqn import training  # here: it imports NumPy, which takes a while

        training.check_learning_starts(settings)
        return settings
    except SettingsError as error:
        exit_with(parser, error)


def exit_with(parser: Parser, error: SettingsError) -> NoReturn:
    """Exits with `EXIT_CONFIG` and the message of a `SettingsError`."""
    see = ""
    if error.field in FIELDS:
        see = f"See {flag(error.field)} in `{parser.prog} --help`.\n"
    parser.exit(EXIT_CONFIG, f"{parser.prog}: {error}\n{see}")


def flag(name: str) -> str:
    """Returns the flag of the field `name`, such as `--env-steps`."""
    return FIELDS[name].metadata.get("flag", "--" + name.replace("_", "-"))


def value_from_text(name: str, text: Any) -> Any:
    """Converts text to a value of the field `name`.

    Text that cannot be converted is returned unchanged. `Settings` refuses it.
    """
    metadata = FIELDS[name].metadata
    if not isinstance(text, str):
        return text
    if "none" in metadata and text.lower() == "none":
        return None
    if metadata["kind"] in ("count", "number"):
        return _number(text)
    if metadata["kind"] == "endpoints":
        return _endpoints(text)
    if metadata["kind"] == "choice" and True in metadata["choices"]:
        return _BOOLEANS.get(text.lower(), text)
    return text


# `yes` and `no` are in the help. The error message names `True` and `False`.
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


def _number(text):
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    exponent = int(match["exponent"] or 0) + _EXPONENTS[match["suffix"]]
    number = decimal.Decimal(f"{match['digits']}e{exponent}")
    if number.adjusted() < _LARGEST_EXPONENT and number == int(number):
        return int(number)
    return float(number) if math.isfinite(float(number)) else text


def _endpoints(text):
    """Converts text such as "0:1.0,1M:0.1" to endpoints. "none" means no endpoints."""
    if text.lower() == "none":
        return ()
    pairs = [pair.split(":") for pair in text.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        return text
    return tuple((_number(steps), _number(value)) for steps, value in pairs)


def _show_help(parser, defaults):
    """Prints the help with `defaults`, a `Settings`, and exits with 0."""
    for name, action in parser.settings.items():
        action.help = _help(FIELDS[name].metadata, getattr(defaults, name))
    parser.print_help()
    parser.exit()


def _help(metadata, default):
    shown = _text(metadata, default)
    unit = f" {metadata['unit']}" if metadata.get("unit") else ""
    unit = "" if default is None or metadata["kind"] == "endpoints" else unit
    return f"{metadata['help']} (default: {shown}{unit})".replace("%", "%%")


def _text(metadata, value):
    if value is None:
        return f"none, {metadata['none']}"
    if metadata["kind"] == "endpoints":
        return ",".join(f"{x:_}:{y:g}" for x, y in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if metadata["kind"] == "count":
        return f"{value:_}"
    return f"{value:g}" if metadata["kind"] == "number" else str(value)


def _metavar(metadata):
    if metadata["kind"] == "choice":
        return "{" + ",".join(_text(metadata, x) for x in metadata["choices"]) + "}"
    return {"endpoints": "STEPS:VALUE,...", "text": "ID"}.get(metadata["kind"], "N")
