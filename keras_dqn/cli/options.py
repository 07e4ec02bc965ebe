"""Command-line flags made from the fields of `Settings`.

One flag for each field: name, help, unit and default come from the field and the
preset, so a new field is a new flag. What a value may be is checked by `Settings`
alone; here text becomes numbers.
"""

from __future__ import annotations

import argparse
import decimal
import math
import re

from keras_dqn import checks
from keras_dqn import presets
from keras_dqn import training
from keras_dqn.config import FIELDS
from keras_dqn.config import SettingsError
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_USAGE

_NUMBER = re.compile(
    r"(?P<digits>[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d+))"
    r"(?:[eE](?P<exponent>[+-]?\d{1,4}))?(?P<suffix>[kKMG]?)",
    re.ASCII,
)
_EXPONENTS = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9}
_LARGEST_EXPONENT = 20  # whole numbers stay far below 10**20


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and names near misses.

    Subparsers are of the same class. Wrong usage exits with `EXIT_USAGE` and one
    line, which points to `--help`.
    """

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        """Refuses what it does not know, here, where the flags are known."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return namespace, []

    def error(self, message):
        """Exits with `EXIT_USAGE`."""
        self.exit(
            EXIT_USAGE, f"{self.prog}: {message}\nSee `{self.prog} --help` for usage.\n"
        )

    def _unknown(self, argument):
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            return f"unexpected argument {name!r}"
        hint = checks.did_you_mean(name, self._option_string_actions)
        return f"unknown flag {name}{hint and '.'}{hint}"


def parse(argv, preset="breakout", *, parser=None):
    """Returns the settings that `argv` asks for, and the caller's own options.

    Args:
        argv: List of strings, without the program's name.
        preset: Name of a preset, which gives the defaults; `--preset` in `argv`
            may then name another one. Or a function of changes that returns
            `Settings`, such as `settings.replace`; there is no `--preset` then.
        parser: `Parser`, to which the caller has added options of its own; the
            flags of `Settings` are added to it. A plain one by default.

    Returns:
        Tuple `(settings, others)`: `Settings`, and an `argparse.Namespace` of the
        options that are not settings (`preset` is one of them, if it is a flag).

    Raises:
        SystemExit: With `EXIT_USAGE` for a wrong flag and `EXIT_CONFIG` for a
            value that cannot be used, after a message of one or two lines; with
            0 after `--help`.
    """
    parser = parser or Parser(prog="keras-dqn")
    try:
        if isinstance(preset, str):
            preset = _add_preset(parser, argv, preset)
        add_settings(parser, preset)
        return split(parser.parse_args(argv), preset)
    except SettingsError as error:
        exit_with(parser, error)


def add_settings(parser, preset):
    """Adds one flag for each field of `Settings`; defaults shown are `preset()`'s.

    Args:
        parser: `Parser`, or a subparser of one.
        preset: Function that returns `Settings`, from `presets` for example.
    """
    defaults = preset()
    group = parser.add_argument_group(
        "settings", "Numbers may be written 1_000_000, 1e6, 1M or 64k."
    )
    for name, field in FIELDS.items():
        metadata = field.metadata
        help = _help(metadata, getattr(defaults, name))
        # Without a default, the namespace holds only what the user typed.
        common = {"dest": name, "default": argparse.SUPPRESS, "help": help}
        if metadata["kind"] == "flag":
            action = argparse.BooleanOptionalAction
            group.add_argument(flag(name), action=action, **common)
        else:
            group.add_argument(flag(name), metavar=_metavar(metadata), **common)


def split(namespace, preset):
    """Splits what was parsed into `(settings, others)`; see `parse`.

    Raises:
        SettingsError: If a value cannot be used.
    """
    given, others = {}, {}
    for name, value in vars(namespace).items():
        (given if name in FIELDS else others)[name] = value
    changes = {name: value_from_text(name, value) for name, value in given.items()}
    settings = preset(**changes)
    training.check_learning_starts(settings)
    return settings, argparse.Namespace(**others)


def exit_with(parser, error):
    """Exits with `EXIT_CONFIG` and the message of a `SettingsError`."""
    see = ""
    if error.field in FIELDS:
        see = f"See {flag(error.field)} in `{parser.prog} --help`.\n"
    parser.exit(EXIT_CONFIG, f"{parser.prog}: {error}\n{see}")


def flag(name):
    """Returns the flag of the field `name`, such as `--env-steps`."""
    return FIELDS[name].metadata.get("flag", "--" + name.replace("_", "-"))


def value_from_text(name, text):
    """Returns the value that `text` means for the field `name`.

    Text that means nothing is returned as it is: `Settings` refuses it, with the
    field's rule.
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
    return text


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
    """Reads "0:1.0,1M:0.1"; "none" is no endpoints."""
    if text.lower() == "none":
        return ()
    pairs = [pair.split(":") for pair in text.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        return text
    return tuple((_number(steps), _number(value)) for steps, value in pairs)


def _add_preset(parser, argv, default):
    """Adds `--preset`, and returns the preset that `argv` names."""
    names = presets.names()
    options = {"metavar": "NAME", "default": default}
    help = f"one of {', '.join(names)}; gives the defaults (default: {default})"
    parser.add_argument("--preset", help=help, **options)
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scout.add_argument("--preset", nargs="?", default=default, const=default)
    return presets.get(scout.parse_known_args(argv)[0].preset)


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
    if metadata["kind"] == "flag":
        return "yes" if value else "no"
    if metadata["kind"] == "count":
        return f"{value:_}"
    return f"{value:g}" if metadata["kind"] == "number" else str(value)


def _metavar(metadata):
    if metadata["kind"] == "choice":
        return "{" + ",".join(metadata["choices"]) + "}"
    return {"endpoints": "STEPS:VALUE,...", "text": "ID"}.get(metadata["kind"], "N")
