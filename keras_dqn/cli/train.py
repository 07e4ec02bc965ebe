"""The training command: what `examples/*.py` and `keras-dqn` run."""

import argparse
import datetime
import os
import pathlib
import sys
import traceback

import gymnasium

from keras_dqn import presets
from keras_dqn.cli import options
from keras_dqn.config import Settings
from keras_dqn.envs import EnvFault
from keras_dqn.monitor import PlainConsole
from keras_dqn.runs import provenance
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED
from keras_dqn.system.exit_codes import MEANINGS
from keras_dqn.system.lock import RunLock

BACKENDS = ("tensorflow", "jax", "torch")
# Of parts that cannot be made: what the message says is all there is to know.
_REFUSALS = (ValueError, TypeError, MemoryError, ImportError, gymnasium.error.Error)


class CommandError(Exception):
    """Ends the command with a message and an exit code.

    Without a traceback, unless it was raised from another exception.
    """

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def main(argv=None, preset="breakout", prog="keras-dqn", smoke=None):
    """Trains by the preset and the flags.

    Args:
        argv: List of strings, default: the command line.
        preset: Name of a preset in `keras_dqn.presets`, the default of
            `--preset`.
        prog: String, the command's name in messages.
        smoke: Dictionary of changes for `--smoke`, or `None` without that flag.

    Returns:
        The exit code.
    """
    argv = sys.argv[1:] if argv is None else argv
    complain = PlainConsole(sys.stderr).message
    try:
        with signals.handled(signals.COMMAND):
            settings, others = _parse(argv, preset, prog, smoke)
            return _run(settings, others)
    except CommandError as error:
        if error.__cause__ is not None:
            complain(_traceback(error.__cause__))
        complain(f"{prog}: {error}")
        return error.code
    except KeyboardInterrupt:
        complain(f"{prog}: stopped")
        return EXIT_STOPPED
    except Exception as error:
        complain(_traceback(error))
        if isinstance(error.__context__, KeyboardInterrupt):
            return EXIT_STOPPED  # what it broke off cannot be tidied up
        complain(f"{prog}: The run broke off: {type(error).__name__}")
        return EXIT_BROKEN


def _traceback(error):
    return "".join(traceback.format_exception(error)).rstrip()


def _parse(argv, preset, prog, smoke):
    """Returns `(settings, others)`; where defaults come from is found out first."""
    first_look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_run_options(first_look, smoke)
    try:
        seen, _ = first_look.parse_known_args(argv)
    except SystemExit:  # it will be refused again below, in better words
        seen = first_look.parse_args([])
    defaults = preset
    if seen.exact and not seen.resume:
        raise CommandError("--exact needs --resume", options.EXIT_USAGE)
    if seen.resume and smoke is not None and seen.smoke:
        raise CommandError(
            "--smoke chooses the settings of a new run; --resume has those of its run",
            options.EXIT_USAGE,
        )
    if seen.resume:
        saved = _saved_settings(seen.out)
        defaults = saved.replace
    elif smoke is not None and seen.smoke:
        defaults = _changed(presets.get(preset), smoke)
    parser = options.Parser(
        prog=prog,
        description="Trains a deep Q-network. The environment variable KERAS_BACKEND "
        "chooses\ntensorflow, jax or torch.",
        epilog=_exit_codes(),
    )
    _add_run_options(parser.add_argument_group("run"), smoke)
    settings, others = options.parse(argv, defaults, parser=parser)
    if seen.resume:
        _check_same_run(saved, settings)
    return settings, others


def _exit_codes():
    lines = [f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["exit codes:", *lines])


def _add_run_options(parser, smoke):
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="run directory; default: runs/<game>-<date>-<time>",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out from its newest checkpoint",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="with --resume: from the newest checkpoint from which the run goes on "
        "as if it had never stopped, or not at all",
    )
    parser.add_argument(
        "--console",
        choices=["auto", "live", "plain", "none"],
        default="auto",
        help="a live panel, plain lines, or nothing but failures; auto: a panel on a "
        "terminal",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write event files into --out"
    )
    parser.add_argument(
        "--no-evaluation",
        action="store_true",
        help="do not play whole games when the training is over",
    )
    if smoke is not None:
        parser.add_argument(
            "--smoke", action="store_true", help="a run of seconds, to see it work"
        )


def _changed(preset, smoke):
    return lambda **changes: preset(**{**smoke, **changes})


def _saved_settings(out):
    """Returns the settings of the run in `out`."""
    if out is None:
        raise CommandError(
            "--resume needs --out DIR, the run to go on with", options.EXIT_USAGE
        )
    path = RunDirectory(out).settings
    try:
        return Settings.from_dict(files.read_json(path))
    except (OSError, ValueError) as error:
        raise CommandError(f"--resume: {path}: {error}", EXIT_IO) from None


def _check_same_run(old, new):
    changed = provenance.changed_settings(old, new)
    if changed:
        raise CommandError(
            f"--resume can change {', '.join(sorted(provenance.CHANGEABLE))} and "
            f"nothing else. Received: {', '.join(changed)}",
            options.EXIT_CONFIG,
        )


def _run(settings, others):
    """Takes the run directory and runs in it. Returns the exit code."""
    _check_backend()
    try:
        out = _run_directory(settings, others)
        lock = RunLock(out)
    except OSError as error:
        raise CommandError(str(error), EXIT_IO) from None
    with lock:
        if not others.resume and RunDirectory(out).holds_a_run():
            raise CommandError(
                "--out must be a new or empty directory; add --resume to go on with "
                f"the run in it. Received: {out}",
                EXIT_IO,
            )
        return _run_locked(settings, others, out, lock)


def _run_locked(settings, others, out, lock):
    """Makes the parts, trains, saves and evaluates. Returns the exit code."""
    try:
        # Here, because it is the first import that needs a Keras backend.
        from keras_dqn.runs.run import TrainingRun

        run = TrainingRun(settings, out, lock)
    except _REFUSALS as error:
        raise CommandError(str(error), options.EXIT_CONFIG) from None
    except Exception as error:
        raise CommandError(
            f"The run could not be made: {type(error).__name__}: {error}",
            options.EXIT_CONFIG,
        ) from error
    with run:
        try:
            return _train_and_evaluate(run, others)
        except ImportError as error:
            raise CommandError(str(error), options.EXIT_CONFIG) from None
        except OSError as error:
            raise CommandError(str(error), EXIT_IO) from None
        except (EnvFault, ArithmeticError) as error:
            raise CommandError(
                f"The run broke off{run.place}: {error}", EXIT_BROKEN
            ) from error.__cause__
        except Exception as error:
            error.add_note(f"The run broke off{run.place}.")
            raise


def _train_and_evaluate(run, others):
    say = PlainConsole().message
    if not run.train(others.console, others.tensorboard, others.resume, others.exact):
        return EXIT_STOPPED
    if others.no_evaluation:
        return 0
    result = run.evaluate()
    if result is None:
        say("Stopped before the evaluation was over.")
        return EXIT_STOPPED
    say(str(result))
    return 0


def _check_backend():
    """Refuses a backend that cannot train, or that Keras will not notice."""
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
        options.EXIT_CONFIG,
    )


def _run_directory(settings, others):
    """Returns the path of the run directory."""
    if others.out is None:
        game = settings.env_id.replace("/", "-").lower()
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        return pathlib.Path("runs") / f"{game}-{now}"
    out = pathlib.Path(others.out)
    if out.exists() and not out.is_dir():
        raise CommandError(f"--out must be a directory. Received: {out}", EXIT_IO)
    checkpoints = RunDirectory(out).checkpoints
    if checkpoints.exists() and not checkpoints.is_dir():
        raise CommandError(f"{checkpoints} must be a directory", EXIT_IO)
    return out
