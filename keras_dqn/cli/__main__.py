"""The command `keras-dqn`, also `python -m keras_dqn`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from keras_dqn.cli import evaluate
from keras_dqn.cli import options
from keras_dqn.cli import record
from keras_dqn.cli import train
from keras_dqn.cli import verify_resume
from keras_dqn.cli.loading import quiet_tensorflow

COMMANDS = (
    train,
    evaluate,
    record,
    verify_resume,
)  # each with a function `add_command`


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first word names. Without a word, it prints help.

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
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    namespace = parser.parse_args(argv)
    if not hasattr(namespace, "run"):
        parser.print_help()
        return 0
    quiet_tensorflow()
    return namespace.run(namespace)


if __name__ == "__main__":
    sys.exit(main())
