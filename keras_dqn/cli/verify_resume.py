"""`keras-dqn verify-resume`: is a run that was stopped the run that was not?

Trains once without a stop. Then once more up to a checkpoint in the middle, and
from there in a new process to the end. Both must end in the same bits.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback

from keras_dqn import presets
from keras_dqn.cli import options
from keras_dqn.config import SettingsError
from keras_dqn.runs import digests
from keras_dqn.runs import partial_run
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_STOPPED

EXIT_DIFFERENT = 1
PROG = "keras-dqn verify-resume"

# Changes of the presets: a minute, and every part of a run comes up in it.
_QUICK = {
    "env_steps": 1_024,
    "replay_capacity": 512,  # the ring is overwritten once
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


def main(argv=None):
    """Runs the comparison and prints it.

    Args:
        argv: List of strings, default: the command line.

    Returns:
        The exit code: 0 if the two runs are equal, 1 if not, 70 if there are none
        to compare, 75 if a signal stopped it.
    """
    settings, others = _parse(sys.argv[1:] if argv is None else argv)
    try:
        with signals.handled(signals.COMMAND):
            return _compare(settings, others)
    except (InterruptedError, KeyboardInterrupt):
        print(f"{PROG}: stopped", file=sys.stderr)
        return EXIT_STOPPED
    except Exception as error:  # 1 is what it says of runs that differ
        traceback.print_exception(error)
        return EXIT_BROKEN


def _compare(settings, others):
    with contextlib.ExitStack() as stack:
        if others.keep is None:
            folder = pathlib.Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-"))
            )
        else:
            folder = pathlib.Path(others.keep)
            folder.mkdir(parents=True)
        try:
            whole, pieces = _run_both(folder, settings)
        except RuntimeError as error:
            print(f"{PROG}: {error}", file=sys.stderr)
            return EXIT_BROKEN
        return report(whole, pieces)


def report(whole, pieces):
    """Prints a table of the two runs' digests.

    Args:
        whole: `pathlib.Path`, run directory of the run that did not stop.
        pieces: The same of the run that did.

    Returns:
        The exit code.
    """
    one, other = (
        json.loads(RunDirectory(run).digests.read_text()) for run in (whole, pieces)
    )
    chains = [
        digests.read_chain(RunDirectory(run).iteration_digests)
        for run in (whole, pieces)
    ]
    one["every iteration"], other["every iteration"] = (c[-1]["chain"] for c in chains)
    print("| part | one piece | resumed | |\n| --- | --- | --- | --- |")
    for name in one:
        verdict = "equal" if one[name] == other.get(name) else "DIFFERENT"
        print(f"| {name} | {one[name][:16]} | {other[name][:16]} | {verdict} |")
    parted = digests.first_difference(*chains)
    if one == other:
        print(f"\nEqual in every bit, over {len(chains[0])} iterations.")
        return 0
    print(f"\nNOT equal. The first difference is in {parted or 'the replay'}.")
    return EXIT_DIFFERENT


def _parse(argv):
    """Returns `(settings, others)`."""
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scout.add_argument("--preset", nargs="?", default="breakout", const="breakout")
    name = scout.parse_known_args(argv)[0].preset
    parser = options.Parser(
        prog=PROG,
        description="Trains twice, once without a stop and once stopped at a "
        "checkpoint and\nresumed in a new process, and compares the SHA-256 of all "
        "that is left. Takes\nabout a minute. The environment variable KERAS_BACKEND "
        "chooses tensorflow, jax or\ntorch.",
    )
    group = parser.add_argument_group("comparison")
    group.add_argument("--keep", metavar="DIR", help="new folder for both runs")
    group.add_argument(
        "--preset",
        metavar="NAME",
        default="breakout",
        help=f"one of {', '.join(presets.names())}, made short; gives the defaults",
    )
    try:
        preset = presets.get(name)
    except SettingsError as error:
        options.exit_with(parser, error)

    def short(**changes):
        return preset(**{**QUICK[name], **changes})

    settings, others = options.parse(argv, short, parser=parser)
    if not _middle(settings):
        refusal = SettingsError(
            "`checkpoint_interval_iterations` must be at most half of the run's "
            f"{settings.iterations} iterations. Received: "
            "checkpoint_interval_iterations="
            f"{settings.checkpoint_interval_iterations}",
            "checkpoint_interval_iterations",
        )
        options.exit_with(parser, refusal)
    if others.keep is not None and pathlib.Path(others.keep).exists():
        parser.error(f"--keep must be a new folder. Received: {others.keep}")
    return settings, others


def _middle(settings):
    """Returns the iteration in which a checkpoint is due, at or before the middle."""
    interval = settings.checkpoint_interval_iterations
    return settings.iterations // 2 // interval * interval


def _run_both(folder, settings):
    """Runs both in processes of their own. Returns their run directories."""
    (folder / "settings.json").write_text(json.dumps(settings.to_dict(), indent=1))
    middle = _middle(settings)
    print(
        f"{settings.env_id}, {settings.iterations} iterations, checkpoints every "
        f"{settings.checkpoint_interval_iterations}, stopped and resumed at {middle}",
        flush=True,
    )
    whole, pieces = folder / "one-piece", folder / "resumed"
    _run(folder, whole)
    _run(folder, pieces, "--stop-at", middle)
    steps = middle * settings.env_steps_per_iteration
    if f"checkpoint-{steps:012d}" not in _run(folder, pieces, "--resume"):
        raise RuntimeError(f"nothing was resumed from a checkpoint at {steps} steps")
    return whole, pieces


def _run(folder, out, *words):
    """Runs a piece in a new process of the same Python. Returns what it loaded."""
    words = [folder / "settings.json", out, *words]
    command = [sys.executable, "-m", partial_run.__name__, *map(str, words)]
    started = time.monotonic()
    code, output, errors = _waited_for(command)
    if code:
        raise RuntimeError(
            f"a run ended with status {code}:\n{output[-2000:]}\n{errors[-2000:]}"
        )
    seconds = time.monotonic() - started
    print(
        f"  {' '.join(map(str, [out.name, *words[2:]]))}: {seconds:.0f} s", flush=True
    )
    return "\n".join(
        line for line in output.splitlines() if line.startswith("Loaded model")
    )


def _waited_for(command):
    """Runs a command, which a request to stop ends too."""
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


if __name__ == "__main__":
    sys.exit(main())
