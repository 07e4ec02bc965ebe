"""`keras-dqn train`, and the command line of the examples."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn.cli import run_arguments
from keras_dqn.cli.parser import Parser

if TYPE_CHECKING:
    from keras_dqn.runs.run import Run

DESCRIPTION = (
    "Trains a deep Q-network. The environment variable KERAS_BACKEND chooses\n"
    "tensorflow, jax or torch."
)


def add_command(commands: Any) -> None:
    """Adds `train` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "train",
        description=DESCRIPTION,
        epilog=run_arguments.EXIT_CODES,
        add_help=False,
    )
    run_arguments.add(parser, "breakout")
    parser.set_defaults(
        run=lambda namespace: run_program(parser, namespace, train_any, "breakout")
    )


def main(
    program: Callable[[Run], Any], preset: str, argv: Sequence[str] | None = None
) -> int:
    """Runs a training program with the command line of `keras-dqn train`.

    Args:
        program: Function that takes a `runs.run.Run`. It creates environments and
            agent from `run.settings`, trains and evaluates. See
            `examples/breakout.py`.
        preset: Name of a preset in `keras_dqn.presets`, the default of `--preset`.
        argv: List of strings. Default: the command line.

    Returns:
        The exit code.

    Raises:
        SystemExit: For wrong flags and values, and after `--help`.
    """
    parser = Parser(
        prog=pathlib.Path(sys.argv[0]).name,
        description=DESCRIPTION,
        epilog=run_arguments.EXIT_CODES,
        add_help=False,
    )
    run_arguments.add(parser, preset)
    return run_program(parser, parser.parse_args(argv), program, preset)


def run_program(
    parser: Parser,
    namespace: argparse.Namespace,
    program: Callable[[Run], Any],
    preset: str,
) -> int:
    """Shows the help, or runs a training program. See `main`."""
    if namespace.help:  # before the imports of a training: they take seconds
        run_arguments.settings_of(parser, namespace, preset)
    from keras_dqn.cli import running

    return running.run(parser, namespace, program, preset)


def train_any(run: Run) -> None:
    """The program of `keras-dqn train`."""
    from keras_dqn.runs import parts  # here, because it needs a Keras backend

    parts.train(run)
