"""Kills a run again and again; it must end as the run that nobody killed.

    KERAS_BACKEND=jax python benchmarks/kill_resume.py --cycles 20

Real Breakout, with a checkpoint every few iterations. The process gets SIGKILL at
random moments: while it starts, trains, evaluates or saves. A new one goes on
with `--resume`, and so on. Then the SHA-256 of everything, and of every iteration,
are compared with those of a run that was not killed.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import machine
import numpy as np

from keras_dqn import presets
from keras_dqn.cli import verify_resume
from keras_dqn.runs import partial_run
from keras_dqn.runs.directory import RunDirectory

SETTINGS = {
    "num_envs": 4,
    "replay_capacity": 512,
    "learning_starts_env_steps": 64,
    "hidden_units": 32,
    "batch_size": 16,
    "updates_per_iteration": 2,
    "target_sync_env_steps": 96,
    "repeat_action_probability": 0.25,
    "evaluation_interval_iterations": 7,
    "evaluation_episodes": 1,
    "evaluation_epsilon": 1.0,
    "log_interval_iterations": 1,
    "checkpoint_interval_iterations": 4,
}
ITERATIONS_A_CYCLE = 4


class PartialRun:
    """A process that trains in `out`; `iteration` is the newest that it noted."""

    def __init__(self, settings, out, log):
        self._digests = RunDirectory(out).iteration_digests
        words = [sys.executable, "-m", partial_run.__name__, settings, out, "--resume"]
        self._process = subprocess.Popen(
            [str(word) for word in words], stdout=log, stderr=subprocess.STDOUT
        )

    @property
    def is_running(self):
        return self._process.poll() is None

    @property
    def iteration(self):
        with contextlib.suppress(FileNotFoundError):
            return self._digests.read_bytes().count(b"\n")
        return 0

    @property
    def changed(self):
        """When the file of digests was written to, or `None` without one."""
        with contextlib.suppress(FileNotFoundError):
            return self._digests.stat().st_mtime_ns
        return None

    def kill(self):
        """Sends SIGKILL. Returns whether it was in time."""
        self._process.send_signal(signal.SIGKILL)
        return self._process.wait() == -signal.SIGKILL

    def finish(self):
        """Waits for the end. Raises `RuntimeError` unless it was a good one."""
        if self._process.wait():
            raise RuntimeError(f"A run ended with status {self._process.returncode}")


def wait_until(is_so, process, seconds):
    """Waits for it, for the end of the process, or for so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.is_running and not is_so():
        time.sleep(0.01)


def kill_once(process, rng, startup, each):
    """Kills it at a random moment. Returns where, in words, or `None` if too late.

    One time in five that is while it starts, else within an iteration: up to one
    and a half checkpoint intervals after its first one.
    """
    before = process.changed
    if rng.random() < 0.2:
        wait_until(lambda: False, process, rng.uniform(0.0, startup))
    else:
        wait_until(lambda: process.changed != before, process, 600.0)
        last = process.iteration + rng.integers(1 + 3 * ITERATIONS_A_CYCLE // 2)
        wait_until(lambda: process.iteration >= last, process, 600.0)
        wait_until(lambda: False, process, rng.uniform(0.0, min(each, 1.0)))
    where = "training" if process.changed != before else "starting"
    return where if process.kill() else None


def uninterrupted(settings, out, log):
    """Runs it without a kill. Returns the seconds of start and of an iteration."""
    started = time.monotonic()
    process = PartialRun(settings, out, log)
    wait_until(lambda: process.changed, process, 600.0)
    startup = time.monotonic() - started
    process.finish()
    each = (time.monotonic() - started - startup) / process.iteration
    return startup, each


def kill_again_and_again(settings, out, log, cycles, times, seed):
    """Returns how often it was killed where, and what saves were left unfinished."""
    rng, counts = np.random.default_rng(seed), collections.Counter()
    startup, each = times
    while counts["killed"] < cycles:
        process = PartialRun(settings, out, log)
        where = kill_once(process, rng, startup, each)
        if where is None:
            process.finish()
            print("The run was over before all kills.", flush=True)
            break
        counts.update(["killed", f"killed while {where}"])
        unfinished = any(RunDirectory(out).checkpoints.glob(".*"))
        counts["kills that left an unfinished save"] += unfinished
        print(f"  kill {counts['killed']}: {where}, {process.iteration}", flush=True)
    PartialRun(settings, out, log).finish()
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="two kills")
    parser.add_argument("--keep", type=pathlib.Path, help="new folder for the runs")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    cycles = 2 if options.quick else options.cycles
    each = presets.breakout(**SETTINGS).env_steps_per_iteration
    iterations = ITERATIONS_A_CYCLE * (cycles + 3)
    run = presets.breakout(**SETTINGS, env_steps=iterations * each)
    description = machine.describe()
    machine.print_description(description)
    with contextlib.ExitStack() as stack:
        folder = options.keep
        if folder is None:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        log = stack.enter_context(open(folder / "log.txt", "w"))
        settings = folder / "settings.json"
        settings.write_text(json.dumps(run.to_dict()))
        whole, killed = folder / "not-killed", folder / "killed"
        times = uninterrupted(settings, whole, log)
        counts = kill_again_and_again(
            settings, killed, log, cycles, times, options.seed
        )
        code = verify_resume.report(whole, killed)
    print("\n| | |\n| --- | --- |")
    for name, count in counts.items():
        print(f"| {name} | {count} |")
    if options.json:
        result = {"machine": description, "counts": counts, "equal": code == 0}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
