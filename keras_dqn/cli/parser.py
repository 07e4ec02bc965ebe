"""The argument parser of all commands."""

from __future__ import annotations

import argparse
from typing import Any
from typing import NoReturn

from keras_dqn.system.exit_codes import EXIT_USAGE


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, which suggests similar flags.

    Subparsers have the same class. Wrong usage exits with `EXIT_USAGE` and a message
    of two lines.

    Args:
        *args, **kwargs: See `argparse.ArgumentParser`.

    Attributes:
        settings: Dictionary from fields of `Settings` to the actions of their flags.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        self.settings: dict[
            str, argparse.Action
        ] = {}  # the action of each setting's flag
        super().__init__(*args, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        """Refuses unknown flags. In a subparser, since it knows the similar flags."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return namespace, []

    def error(self, message: str) -> NoReturn:
        """Exits with `EXIT_USAGE`."""
        self.exit(
            EXIT_USAGE, f"{self.prog}: {message}\nSee `{self.prog} --help` for usage.\n"
        )

    def _unknown(self, argument):
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            return f"unexpected argument {name!r}"
        from keras_dqn import checks  # here: it imports NumPy

        hint = checks.did_you_mean(name, self._option_string_actions)
        return f"unknown flag {name}{hint and '.'}{hint}"
