"""What the commands that read logs share: runs, files to write, refusals."""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Sequence

from keras_dqn.report import reading
from keras_dqn.report.reading import RunLog
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED

RUN_HELP = "run directory, or a file metrics.jsonl, possibly .gz"


def run(
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    work: Callable[[argparse.Namespace], None],
) -> int:
    """Does the work of a command, and says in a line why it cannot be done.

    Args:
        parser: Parser of the command.
        namespace: The parsed namespace.
        work: Function of the namespace.

    Returns:
        The exit code.
    """
    try:
        work(namespace)
        return 0
    except KeyboardInterrupt:
        error, code = "stopped", EXIT_STOPPED
    except OSError as caught:
        error, code = str(caught), EXIT_IO
    except (ValueError, ImportError) as caught:
        error, code = str(caught), EXIT_CONFIG
    print(f"{parser.prog}: {error}", file=sys.stderr)
    return code


def read_runs(paths: Sequence[str]) -> list[RunLog]:
    """Reads runs. What could not be read of them is shown on standard error.

    Raises:
        OSError, ValueError: See `reading.read`.
    """
    runs = [reading.read(path) for path in paths]
    for each in runs:
        for warning in each.warnings:
            print(f"Warning: {warning}", file=sys.stderr)
    return runs


def check_installed(command: str, *modules: str) -> None:
    """Raises `ImportError`, which says what to install, if a module is missing.

    Args:
        command: Name of the command.
        *modules: Names of the modules that it needs.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"`keras-dqn {command}` needs pip install 'keras_dqn[plot]'. Not "
            f"installed: {', '.join(missing)}"
        )


def output(
    given: str | None, default: pathlib.Path, suffixes: Sequence[str], force: bool
) -> pathlib.Path:
    """Returns the path of the file to write.

    Args:
        given: The value of `--out`, or `None`.
        default: Path without `--out`.
        suffixes: Possible endings of the name, such as `".png"`.
        force: Whether an older file is replaced.

    Raises:
        ValueError: If the name has another ending.
        OSError: If its directory does not exist, or if the file exists.
    """
    path = default if given is None else pathlib.Path(given)
    if path.suffix not in suffixes:
        rule = " or ".join(suffixes)
        raise ValueError(f"`--out` must end with {rule}. Received: {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such directory: {path.parent}")
    if path.is_dir() or (path.exists() and not force):
        raise FileExistsError(f"{path} exists. --force replaces files")
    return path


def folder_of(runs: Sequence[RunLog]) -> pathlib.Path:
    """Returns the directory of a single run, else the current one."""
    is_directory = len(runs) == 1 and runs[0].path.is_dir()
    return runs[0].path if is_directory else pathlib.Path()
