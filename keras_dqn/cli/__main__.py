"""The command `keras-dqn`, also `python -m keras_dqn`."""
# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from keras_dqn.cli.parser import Parser

# Each command is a module of this package with a function `add_command`, which is
# imported only for its own command line: `keras-dqn --help` is quick.
COMMANDS = {
    "train": "train in a run directory, or resume a run",
    "resume": "continue a run from its newest checkpoint",
    "evaluate": "play whole games with saved networks",
    "compare": "compare the last evaluations of runs",
    "record": "film a game of a saved network",
    "play": "watch a saved network play",
    "export": "write a saved network for another runtime: ONNX, LiteRT, ...",
    "plot": "draw learning curves of runs",
    "report": "write a page about a run",
    "info": "show what is in a run, a checkpoint or a saved network",
    "presets": "list the presets, or how some of them differ",
    "envs": "list the Atari games, or the actions of one environment",
    "verify-resume": "check on this machine that a resumed run is exact",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first word names. Without a word, it prints help.

    Args:
        argv: List of strings. Default: the command line.

    Returns:
        The exit code.

    Raises:
        SystemExit: For wrong flags and values, and after `--help`.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    parser = Parser(prog="keras-dqn", description="Deep Q-learning for Keras 3.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    completes = "_ARGCOMPLETE" in os.environ
    for name, help in COMMANDS.items():
        if completes or name in words[:1]:
            module = importlib.import_module(f"keras_dqn.cli.{name.replace('-', '_')}")
            module.add_command(commands)
        else:
            commands.add_parser(name, help=help)
    if completes:  # a shell asks
        import argcomplete

        argcomplete.autocomplete(parser)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        from keras_dqn import checks  # here: it imports NumPy

        hint = checks.did_you_mean(words[0], COMMANDS)
        parser.error(f"unknown command {words[0]!r}{hint and '.'}{hint}")
    namespace = parser.parse_args(words)
    if not hasattr(namespace, "run"):
        parser.print_help()
        return 0
    from keras_dqn.cli.loading import quiet_tensorflow

    quiet_tensorflow()
    return namespace.run(namespace)


if __name__ == "__main__":
    sys.exit(main())
