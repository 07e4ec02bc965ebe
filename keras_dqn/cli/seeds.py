"""`--seeds`: runs that differ in the seed alone, one after another.

Each run has a process of its own, so that none of them can change another.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import shlex
import signal
import subprocess
import sys
from types import FrameType

from keras_dqn.cli import run_arguments
from keras_dqn.cli.command_line import words_of
from keras_dqn.cli.errors import CommandError
from keras_dqn.cli.parser import Parser
from keras_dqn.config import FIELDS
from keras_dqn.config import SettingsError
from keras_dqn.config import checked
from keras_dqn.monitor import PlainConsole
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED
from keras_dqn.system.exit_codes import EXIT_USAGE

_KILLED = 128  # shells add the number of the signal


def train_all(parser: Parser, namespace: argparse.Namespace, preset: str) -> int:
    """Trains a run for each seed, until one of them fails or is stopped.

    Args:
        parser: `Parser` with the flags of `cli.run_arguments`.
        namespace: The parsed namespace.
        preset: Name of the preset of a new run without `--preset`.

    Returns:
        The exit code of the last run.

    Raises:
        CommandError: If the seeds are wrong, or a new run would be in the directory of
            another one.
        SystemExit: For wrong settings.
    """
    numbers = _numbers(namespace)
    out = _directory(parser, namespace, preset)
    say = PlainConsole().message if namespace.console != "none" else _nothing
    directories = [RunDirectory(out / f"seed{number}") for number in numbers]
    if not namespace.resume:
        _check_free(directories)
    children = _Children()
    with signals.passed_on(children.signal):
        for place, (number, directory) in enumerate(
            zip(numbers, directories, strict=True), start=1
        ):
            say(f"Run {place} of {len(numbers)}: seed {number}, in {directory}")
            code = children.run(_words(parser, namespace, number, directory))
            if code:
                if directory.settings.exists():
                    say(f"To go on, type the same command with --out {out} --resume")
                return EXIT_STOPPED if children.was_stopped else code
    paths = shlex.join(str(directory) for directory in directories)
    say(f"What to type next:\n  keras-dqn compare {paths}\n  keras-dqn plot {paths}")
    return 0


class _Children:
    """Processes, one at a time, which get the signals of this process.

    They are in the same process group. So what a terminal sends to stop, suspend or
    end a command (Ctrl-C, Ctrl-Z, Ctrl-\\) reaches them without this process, too, and
    a request to stop may reach a child twice. That is why it is passed on as `SIGTERM`:
    a second `SIGINT` would end a run without saving.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.was_stopped = False

    def signal(self, signum: int, frame: FrameType | None = None) -> None:
        is_stop = signum in signals.STOP
        self.was_stopped = self.was_stopped or is_stop
        if self._process is not None and sys.platform != "win32":
            self._process.send_signal(signal.SIGTERM if is_stop else signum)

    def run(self, words: list[str]) -> int:
        """Runs a command. Returns its exit code."""
        if not self.was_stopped:
            # It would end a process that does not handle it yet, and nothing is
            # trained by then that could be saved.
            with signals.ignored(signals.SAVE):
                self._process = subprocess.Popen(words)
        if self._process is None:
            return EXIT_STOPPED
        if self.was_stopped:  # while the process was being made
            self._process.terminate()
        code = None
        while code is None:  # not one long wait, in which a signal may go unnoticed
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(timeout=1.0)
        self._process = None
        return code if code >= 0 else _KILLED - code


def _numbers(namespace):
    """Returns the seeds of the command line."""
    if hasattr(namespace, "seed"):
        raise CommandError("Give --seed or --seeds, not both", EXIT_USAGE)
    try:
        numbers = [checked("seed", int(word)) for word in namespace.seeds.split(",")]
    except (ValueError, SettingsError) as error:
        reason = f": {error}" if isinstance(error, SettingsError) else ""
        raise CommandError(
            "--seeds must be whole numbers with commas between, such as 1,2,3. "
            f"Received: {namespace.seeds}{reason}",
            EXIT_CONFIG,
        ) from None
    if len(set(numbers)) < len(numbers):
        raise CommandError(
            f"--seeds must differ. Received: {namespace.seeds}", EXIT_CONFIG
        )
    return numbers


def _directory(parser, namespace, preset):
    """Returns the path of the directory of all runs. Checks the settings first."""
    if namespace.resume:
        if namespace.out is None:
            raise CommandError("--seeds with --resume needs --out", EXIT_USAGE)
        return pathlib.Path(namespace.out)
    settings = run_arguments.settings_of(parser, namespace, preset)
    return pathlib.Path(namespace.out or run_arguments.default_directory(settings))


def _check_free(directories):
    for directory in directories:
        if directory.holds_a_run():
            raise CommandError(
                f"{directory} has a run already. Add --resume to continue it, or "
                "choose another --out",
                EXIT_IO,
            )


def _words(parser, namespace, number, directory):
    """Returns the command of one run."""
    is_resumed = namespace.resume and directory.settings.exists()
    words = ["-m", "keras_dqn", "train"]
    if not parser.prog.startswith("keras-dqn "):
        words = [sys.argv[0]]
    words += ["--out", str(directory), "--console", namespace.console]
    words += ["--seed", str(number)]
    flags = {"--tensorboard": namespace.tensorboard}
    flags |= {"--no-evaluation": namespace.no_evaluation}
    if is_resumed:
        flags |= {"--resume": True, "--exact": namespace.exact}
    else:
        flags |= {"--smoke": namespace.smoke}
        if hasattr(namespace, "preset"):
            words += ["--preset", namespace.preset]
    words += [flag for flag, is_given in flags.items() if is_given]
    for name in FIELDS:
        if hasattr(namespace, name):
            words += words_of(name, getattr(namespace, name))
    return [sys.executable, *words]


def _nothing(text):
    pass
