"""`keras-dqn verify-resume`: checks that a resumed run is exact.

One run trains without a stop. Another one stops at a checkpoint in the middle, and is
resumed in a new process. Both must end in bit-identical states.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any

from keras_dqn.cli import options
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_STOPPED

EXIT_DIFFERENT = 1
SETTINGS = "settings.json"  # in the folder of both runs

# Changes to the presets: runs of a minute that use every part.
_QUICK: dict[str, Any] = {
    "env_steps": 1_024,
    "replay_capacity": 512,  # the replay is overwritten once
    "learning_starts_env_steps": 192,
    "target_sync_env_steps": 160,
    "checkpoint_interval_iterations": 8,
    "histogram_interval_iterations": 5,
    "log_interval_iterations": 3,
    "updates_per_iteration": 4,
}
QUICK = {
    "breakout": _QUICK,
    "atari": _QUICK,
    "cartpole": {
        **_QUICK,
        "env_steps": 8_192,
        "replay_capacity": 4_096,
        "learning_starts_env_steps": 1_000,
        "target_sync_env_steps": 512,
        "updates_per_iteration": 64,
        "evaluation_interval_iterations": None,
        "stop_at_score": None,
    },
}


def add_command(commands: Any) -> None:
    """Adds `verify-resume` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "verify-resume",
        description="Trains twice, once without a stop and once stopped at a "
        "checkpoint and resumed\nin a new process, and compares their SHA-256 digests. "
        "Takes about a minute.\nThe environment variable KERAS_BACKEND "
        "chooses tensorflow, jax or torch.",
        add_help=False,
    )
    group = parser.add_argument_group("comparison")
    group.add_argument("--keep", metavar="DIR", help="new directory for both runs")
    options.add_preset(group, "breakout")
    options.add_settings(parser)
    parser.set_defaults(run=lambda namespace: _run(parser, namespace))


def _run(parser, namespace):
    """Compares both runs. Returns the exit code.

    It is 0 if they are equal, 1 if not, 70 after a failure, 75 after a signal.
    """
    settings = _settings(parser, namespace)
    try:
        with signals.handled(signals.COMMAND):
            return _compare(settings, namespace.keep)
    except (InterruptedError, KeyboardInterrupt):
        print(f"{parser.prog}: stopped", file=sys.stderr)
        return EXIT_STOPPED
    except RuntimeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_BROKEN
    except Exception as error:  # Python's exit code 1 would mean that the runs differ
        traceback.print_exception(error)
        return EXIT_BROKEN


def _settings(parser, namespace):
    """Returns the settings of both runs, checked."""
    preset = getattr(namespace, "preset", "breakout")
    settings = options.settings_of(parser, namespace, preset, QUICK)
    if not middle_of(settings):
        interval = settings.checkpoint_interval_iterations
        error = SettingsError(
            "`checkpoint_interval_iterations` must be at most half of the run's "
            f"{settings.iterations} iterations. Received: "
            f"checkpoint_interval_iterations={interval}",
            "checkpoint_interval_iterations",
        )
        options.exit_with(parser, error)
    if namespace.keep is not None and pathlib.Path(namespace.keep).exists():
        parser.error(f"--keep must be a new directory. Received: {namespace.keep}")
    return settings


def _compare(settings, keep):
    """Trains and compares both runs. Returns the exit code."""
    with contextlib.ExitStack() as stack:
        if keep is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-"))
        else:
            folder = keep
            pathlib.Path(folder).mkdir(parents=True)
        return report(*_train_both(pathlib.Path(folder), settings))


def report(whole: pathlib.Path, resumed: pathlib.Path) -> int:
    """Prints a table of the digests of two runs.

    Args:
        whole: Path of the run directory of the run without a stop.
        resumed: Path of the run directory of the resumed run.

    Returns:
        The exit code.
    """
    from keras_dqn.runs import digests  # here, so that `--help` is quick

    directories = RunDirectory(whole), RunDirectory(resumed)
    one, other = (json.loads(each.digests.read_text()) for each in directories)
    lines, others = (digests.read_log(each.iteration_digests) for each in directories)
    one["every iteration"] = digests.of_json(lines)
    other["every iteration"] = digests.of_json(others)
    print("| part | not stopped | resumed | |\n| --- | --- | --- | --- |")
    for name in {**one, **other}:
        digest, other_digest = one.get(name, "-"), other.get(name, "-")
        verdict = "equal" if digest == other_digest else "DIFFERENT"
        print(f"| {name} | {digest[:16]} | {other_digest[:16]} | {verdict} |")
    if one == other:
        print(f"\nEqual in every bit, over {len(lines)} iterations.")
        return 0
    where = digests.first_difference(lines, others) or "the replay"
    print(f"\nNOT equal. The first difference is in {where}.")
    return EXIT_DIFFERENT


def middle_of(settings: Settings) -> int:
    """Returns the last iteration up to the middle of the run with a checkpoint."""
    interval = settings.checkpoint_interval_iterations
    return settings.iterations // 2 // interval * interval


def _train_both(folder, settings):
    """Trains both runs in separate processes. Returns their run directories."""
    (folder / SETTINGS).write_text(json.dumps(settings.to_dict(), indent=1))
    middle = middle_of(settings)
    print(
        f"{settings.env_id}, {settings.iterations} iterations, checkpoints every "
        f"{settings.checkpoint_interval_iterations}, stopped and resumed at {middle}",
        flush=True,
    )
    whole, resumed = folder / "not-stopped", folder / "resumed"
    _train(folder, whole)
    _train(folder, resumed, "--stop-at", middle)
    steps = middle * settings.env_steps_per_iteration
    if f"checkpoint-{steps:012d}" not in _train(folder, resumed, "--resume"):
        raise RuntimeError(
            f"the run was not resumed from its checkpoint at {steps} steps"
        )
    return whole, resumed


def _train(folder, out, *flags):
    """Trains in a new process. Returns the lines of its output on loading."""
    module = "keras_dqn.runs.partial_run"
    command = [sys.executable, "-m", module, folder / SETTINGS, out]
    started = time.monotonic()
    code, output, errors = _run_process([str(word) for word in [*command, *flags]])
    if code:
        raise RuntimeError(
            f"a run ended with status {code}:\n{output[-2000:]}\n{errors[-2000:]}"
        )
    seconds = time.monotonic() - started
    print(f"  {' '.join(map(str, [out.name, *flags]))}: {seconds:.0f} s", flush=True)
    return "\n".join(
        line for line in output.splitlines() if line.startswith("Loaded checkpoint")
    )


def _run_process(command):
    """Runs a command in a process, and kills it on a request to stop.

    Returns:
        Tuple of exit status, standard output and standard error.

    Raises:
        InterruptedError: On a request to stop.
    """
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        with signals.handled(signals.COMMAND) as requests:
            while not requests.stop:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, errors = process.communicate(timeout=0.2)
                    return process.returncode, output, errors
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    raise InterruptedError
