"""Runs a training program in a run directory, for `train` and `resume`."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import shlex
import sys
import traceback
from collections.abc import Callable
from typing import Any

import gymnasium

from keras_dqn.cli import run_arguments
from keras_dqn.cli import seeds
from keras_dqn.cli.errors import CommandError
from keras_dqn.cli.loading import load_keras
from keras_dqn.cli.parser import Parser
from keras_dqn.envs import EnvFault
from keras_dqn.monitor import PlainConsole
from keras_dqn.runs import summary
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.runs.run import Run
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED

BACKENDS = ("tensorflow", "jax", "torch")
# Errors of `make_envs`, `DQNAgent` and so on. Their messages need no traceback.
REFUSALS = (ValueError, TypeError, MemoryError, ImportError, gymnasium.error.Error)


def run(
    parser: Parser,
    namespace: argparse.Namespace,
    program: Callable[[Run], Any],
    preset: str,
) -> int:
    """Trains with the parsed command line.

    Args:
        parser: `Parser` with the flags of `cli.run_arguments`.
        namespace: The parsed namespace.
        program: See `cli.train.main`.
        preset: Name of the preset of a new run without `--preset`.

    Returns:
        The exit code.
    """
    print_error = PlainConsole(sys.stderr).message
    try:
        if namespace.seeds is not None:
            return seeds.train_all(parser, namespace, preset)
        with signals.handled(signals.COMMAND):
            settings = run_arguments.settings_of(parser, namespace, preset)
            return _run_program(parser, program, settings, namespace)
    except CommandError as error:
        if error.__cause__ is not None:
            print_error(_traceback(error.__cause__))
        print_error(f"{parser.prog}: {error}")
        return error.code
    except KeyboardInterrupt:
        print_error(f"{parser.prog}: stopped")
        return EXIT_STOPPED
    except Exception as error:
        print_error(_traceback(error))
        if isinstance(error.__context__, KeyboardInterrupt):
            return EXIT_STOPPED  # closing failed after the interrupt
        print_error(f"{parser.prog}: The run failed: {type(error).__name__}")
        return EXIT_BROKEN


def _traceback(error):
    return "".join(traceback.format_exception(error)).rstrip()


def _run_program(parser, program, settings, namespace):
    """Runs the program in its run directory. Returns the exit code."""
    _check_backend()
    with contextlib.ExitStack() as stack:
        try:
            run = Run(
                settings,
                _run_directory(settings, namespace),
                console=namespace.console,
                tensorboard=namespace.tensorboard,
                resume=namespace.resume,
                exact=namespace.exact,
                evaluation=not namespace.no_evaluation,
            )
            stack.enter_context(run)
        except ImportError as error:
            raise CommandError(str(error), EXIT_CONFIG) from None
        except OSError as error:
            raise CommandError(str(error), EXIT_IO) from None
        try:
            load_keras(is_said=namespace.console != "none")
            program(run)
        except Exception as error:
            _raise_command_error(error, run)
            raise
        if run.has_begun and namespace.console != "none":
            for line in summary.lines(run, _command(parser)):
                run.log(line)
    return EXIT_STOPPED if run.was_stopped else 0


def _command(parser):
    """Returns the command that trains, to be typed again."""
    if parser.prog.startswith("keras-dqn "):
        return parser.prog
    return f"python {shlex.quote(sys.argv[0])}"


def _raise_command_error(error, run):
    """Raises a `CommandError` for an expected exception of the program."""
    if not run.has_begun:
        if isinstance(error, REFUSALS):
            raise CommandError(str(error), EXIT_CONFIG) from None
        raise CommandError(
            f"The run could not start: {type(error).__name__}: {error}", EXIT_CONFIG
        ) from error
    if isinstance(error, OSError):
        raise CommandError(str(error), EXIT_IO) from None
    if isinstance(error, EnvFault | ArithmeticError):
        raise CommandError(
            f"The run failed{run.position}: {error}", EXIT_BROKEN
        ) from error.__cause__
    error.add_note(f"The run failed{run.position}.")


def _check_backend():
    """Checks that `KERAS_BACKEND` can train, and was set before Keras was imported."""
    name = os.environ.get("KERAS_BACKEND")
    if not name:
        return
    if name not in BACKENDS:
        rule = f"must be one of {BACKENDS}"
    elif "keras" in sys.modules and name != sys.modules["keras"].backend.backend():
        rule = "must be set before Keras is imported"
    else:
        return
    raise CommandError(
        f"The environment variable `KERAS_BACKEND` {rule}. "
        f"Received: KERAS_BACKEND={name!r}",
        EXIT_CONFIG,
    )


def _run_directory(settings, namespace):
    """Returns the path of the run directory."""
    if namespace.out is None:
        return run_arguments.default_directory(settings)
    out = pathlib.Path(namespace.out)
    if out.exists() and not out.is_dir():
        raise CommandError(f"--out must be a directory. Received: {out}", EXIT_IO)
    checkpoints = RunDirectory(out).checkpoints
    if checkpoints.exists() and not checkpoints.is_dir():
        raise CommandError(f"{checkpoints} must be a directory", EXIT_IO)
    return out
