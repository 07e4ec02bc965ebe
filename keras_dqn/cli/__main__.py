"""The command `keras-dqn`, also `python -m keras_dqn`."""
# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from keras_dqn import checks
from keras_dqn.cli import compare
from keras_dqn.cli import envs
from keras_dqn.cli import evaluate
from keras_dqn.cli import info
from keras_dqn.cli import options
from keras_dqn.cli import play
from keras_dqn.cli import plot
from keras_dqn.cli import record
from keras_dqn.cli import report
from keras_dqn.cli import resume
from keras_dqn.cli import train
from keras_dqn.cli import verify_resume
from keras_dqn.cli.loading import quiet_tensorflow

# Each has a function `add_command`.
COMMANDS = (
    train,
    resume,
    evaluate,
    compare,
    record,
    play,
    plot,
    report,
    info,
    envs,
    verify_resume,
)


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
    words = sys.argv[1:] if argv is None else list(argv)
    _complete(parser)
    if words and not words[0].startswith("-") and words[0] not in commands.choices:
        hint = checks.did_you_mean(words[0], commands.choices)
        parser.error(f"unknown command {words[0]!r}{hint and '.'}{hint}")
    namespace = parser.parse_args(words)
    if not hasattr(namespace, "run"):
        parser.print_help()
        return 0
    quiet_tensorflow()
    return namespace.run(namespace)


def _complete(parser):
    """Answers a shell that asks for completions, if argcomplete is installed."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


if __name__ == "__main__":
    sys.exit(main())
