"""The command `keras-dqn`, also `python -m keras_dqn`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from keras_dqn.cli import compare
from keras_dqn.cli import evaluate
from keras_dqn.cli import options
from keras_dqn.cli import plot
from keras_dqn.cli import record
from keras_dqn.cli import report
from keras_dqn.cli import train
from keras_dqn.cli import verify_resume

COMMANDS = (
    train,
    evaluate,
    record,
    plot,
    report,
    compare,
    verify_resume,
)  # each with a function `add_command`


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first word names.

    Args:
        argv: List of strings. Default: the command line.

    Returns:
        The exit code.

    Raises:
        SystemExit: For wrong flags and values, and after `--help`.
    """
    parser = options.Parser(
        prog="keras-dqn", description="Deep Q-learning for Keras 3."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(commands)
    namespace = parser.parse_args(argv)
    return namespace.run(namespace)


if __name__ == "__main__":
    sys.exit(main())
