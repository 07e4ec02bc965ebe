"""`keras-dqn resume`: continues a run."""

from __future__ import annotations

from typing import Any

from keras_dqn.cli import options
from keras_dqn.cli import run_arguments
from keras_dqn.cli.train import run_program
from keras_dqn.cli.train import train_any


def add_command(commands: Any) -> None:
    """Adds `resume` to the subparsers of `keras-dqn`: `train --resume --out DIR`."""
    parser = commands.add_parser(
        "resume",
        description="Continues a run from its newest checkpoint, like `train --resume "
        "--out DIR`.\nThe environment variable KERAS_BACKEND chooses tensorflow, jax "
        "or torch.",
        epilog=run_arguments.EXIT_CODES,
        add_help=False,
    )
    group = parser.add_argument_group("run")
    group.add_argument("out", metavar="DIR", nargs="?", help="run directory")
    run_arguments.add_shared(group)
    options.add_settings(parser)
    parser.set_defaults(
        resume=True,
        seeds=None,
        smoke=False,
        run=lambda namespace: run_program(parser, namespace, train_any, "breakout"),
    )
