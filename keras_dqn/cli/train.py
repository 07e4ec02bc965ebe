"""`keras-dqn train`, and the command line of the examples."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import shlex
import sys
import traceback
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import gymnasium

from keras_dqn.cli import options
from keras_dqn.cli.loading import load_keras
from keras_dqn.config import Settings
from keras_dqn.envs import EnvFault
from keras_dqn.monitor import PlainConsole
from keras_dqn.runs import provenance
from keras_dqn.runs import summary
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.runs.run import Run
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED
from keras_dqn.system.exit_codes import EXIT_USAGE
from keras_dqn.system.exit_codes import MEANINGS

BACKENDS = ("tensorflow", "jax", "torch")
DESCRIPTION = (
    "Trains a deep Q-network. The environment variable KERAS_BACKEND chooses\n"
    "tensorflow, jax or torch."
)
# Changes to the presets for `--smoke`: a run of seconds that uses every part.
_SMOKE = {
    "env_steps": 2_048,
    "replay_capacity": 1_024,
    "target_sync_env_steps": 512,
    "evaluation_episodes": 2,
    "evaluation_epsilon": 1.0,
}
SMOKE = {
    "breakout": _SMOKE,
    "atari": _SMOKE,
    "cartpole": {
        "env_steps": 2_048,
        "evaluation_episodes": 4,
        "evaluation_interval_iterations": 4,
    },
}
# Errors of `make_envs`, `DQNAgent` and so on. Their messages need no traceback.
REFUSALS = (ValueError, TypeError, MemoryError, ImportError, gymnasium.error.Error)


class CommandError(Exception):
    """Ends the command with a message and an exit code.

    The traceback of its cause is shown, if it was raised from another exception.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def add_command(commands: Any) -> None:
    """Adds `train` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "train",
        description=DESCRIPTION,
        epilog=_exit_codes(),
        add_help=False,
    )
    _add_arguments(parser, "breakout")
    parser.set_defaults(
        run=lambda namespace: _run(parser, namespace, _train_any, "breakout")
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
    parser = options.Parser(
        prog=pathlib.Path(sys.argv[0]).name,
        description=DESCRIPTION,
        epilog=_exit_codes(),
        add_help=False,
    )
    _add_arguments(parser, preset)
    return _run(parser, parser.parse_args(argv), program, preset)


def _train_any(run):
    from keras_dqn.runs import parts  # here, because it needs a Keras backend

    parts.train(run)


def _exit_codes():
    lines = [f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["exit codes:", *lines])


def _add_arguments(parser, preset):
    group = parser.add_argument_group("run")
    group.add_argument(
        "--out",
        metavar="DIR",
        help="run directory; default: runs/<game>-<date>-<time>",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out from its newest checkpoint",
    )
    _add_run_arguments(group, "with --resume: ")
    group.add_argument(
        "--smoke", action="store_true", help="a short run, to check the installation"
    )
    options.add_preset(group, preset)
    options.add_settings(parser)


def add_resume_command(commands: Any) -> None:
    """Adds `resume` to the subparsers of `keras-dqn`: `train --resume --out DIR`."""
    parser = commands.add_parser(
        "resume",
        description="Continues a run from its newest checkpoint, like `train --resume "
        "--out DIR`.\nThe environment variable KERAS_BACKEND chooses tensorflow, jax "
        "or torch.",
        epilog=_exit_codes(),
        add_help=False,
    )
    group = parser.add_argument_group("run")
    group.add_argument("out", metavar="DIR", nargs="?", help="run directory")
    _add_run_arguments(group, "")
    options.add_settings(parser)
    parser.set_defaults(
        resume=True,
        smoke=False,
        run=lambda namespace: _run(parser, namespace, _train_any, "breakout"),
    )


def _add_run_arguments(group, condition):
    """Adds the flags that new and resumed runs share."""
    group.add_argument(
        "--exact",
        action="store_true",
        help=f"{condition}from the newest checkpoint from which the run continues "
        "bit for bit as if it had never stopped; fail if there is none",
    )
    group.add_argument(
        "--console",
        choices=["auto", "live", "plain", "none"],
        default="auto",
        help="a live panel, plain lines, or only warnings and errors; auto: a panel on "
        "a terminal, otherwise lines",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write event files into DIR"
    )
    group.add_argument(
        "--no-evaluation",
        action="store_true",
        help="do not play whole games after the training",
    )


def _run(parser, namespace, program, preset):
    """Trains with the parsed command line. Returns the exit code."""
    print_error = PlainConsole(sys.stderr).message
    try:
        with signals.handled(signals.COMMAND):
            settings = _settings(parser, namespace, preset)
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


def _settings(parser, namespace, preset):
    """Returns the settings of a preset, or of the run in `--out`, with changes."""
    if namespace.help:  # a resume's shows the defaults of the preset
        namespace.exact = namespace.resume = False
    if namespace.exact and not namespace.resume:
        raise CommandError("--exact needs --resume", EXIT_USAGE)
    if not namespace.resume:
        name = getattr(namespace, "preset", preset)
        smoke = SMOKE if namespace.smoke else {}
        return options.settings_of(parser, namespace, preset=name, changes=smoke)
    given = {"--smoke": namespace.smoke, "--preset": hasattr(namespace, "preset")}
    for flag, is_given in given.items():
        if is_given:
            raise CommandError(
                f"{flag} is for new runs. --resume uses the settings of the run in "
                "--out",
                EXIT_USAGE,
            )
    saved = _saved_settings(namespace.out)
    settings = options.settings_of(parser, namespace, saved.replace)
    changed = provenance.changed_settings(saved, settings)
    if changed:
        raise CommandError(
            "--resume can only change "
            f"{', '.join(sorted(provenance.CHANGEABLE))}. "
            f"Received: {', '.join(changed)}",
            EXIT_CONFIG,
        )
    return settings


def _saved_settings(out):
    """Returns the settings of the run in `out`."""
    if out is None:
        raise CommandError(
            "Name the run to continue: `keras-dqn resume DIR`, or --resume --out DIR",
            EXIT_USAGE,
        )
    path = RunDirectory(out).settings
    try:
        return Settings.from_dict(files.read_json(path))
    except (OSError, ValueError) as error:
        raise CommandError(f"Cannot continue {out}: {error}", EXIT_IO) from None


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
        game = settings.env_id.replace("/", "-").lower()
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        return pathlib.Path("runs") / f"{game}-{now}"
    out = pathlib.Path(namespace.out)
    if out.exists() and not out.is_dir():
        raise CommandError(f"--out must be a directory. Received: {out}", EXIT_IO)
    checkpoints = RunDirectory(out).checkpoints
    if checkpoints.exists() and not checkpoints.is_dir():
        raise CommandError(f"{checkpoints} must be a directory", EXIT_IO)
    return out
