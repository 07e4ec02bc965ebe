"""Trains for an hour and watches what must not grow: memory, threads, files.

    KERAS_BACKEND=tensorflow python benchmarks/soak.py --minutes 60

Real Breakout with a small replay, so that everything that fills up is full after
a minute; with a checkpoint, an evaluation, TensorBoard files and a log on the
way, again and again. Linux only.
"""

import argparse
import contextlib
import gc
import json
import os
import pathlib
import tempfile
import time

import machine
import numpy as np

from keras_dqn import presets
from keras_dqn.runs import parts
from keras_dqn.runs.run import Run

COUNTS = ("descriptors", "threads", "children", "files", "traces")
SETTINGS = {
    "env_steps": 10**9,  # the clock ends it
    "replay_capacity": 4_096,
    "learning_starts_env_steps": 1_024,
    "updates_per_iteration": 2,
    "hidden_units": 64,
    "epsilon_endpoints": ((0, 1.0), (100_000, 0.1)),
    "epsilon_final": 0.1,
    "beta_endpoints": ((0, 0.4), (100_000, 1.0)),
    "checkpoint_interval_iterations": 100,
    "evaluation_interval_iterations": 150,
    "evaluation_episodes": 2,
    "evaluation_epsilon": 1.0,
}


def resident_bytes():
    """Resident memory of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tree_bytes(folder):
    """Number of files below `folder`, and their bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return len(paths), sum(path.stat().st_size for path in paths)


def sample(run, started):
    """Returns what the process and its run directory hold now."""
    children = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            children += (task / "children").read_text().split()
    checkpoints = run.directory.checkpoints
    files, checkpoint_bytes = tree_bytes(checkpoints)
    return {
        "seconds": time.monotonic() - started,
        "rss_bytes": resident_bytes(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": len(children),
        "files": files + len(list(run.directory.path.iterdir())),
        "traces": sum(run.agent.learner.trace_counts.values()),
        "checkpoint_bytes": checkpoint_bytes,
        "log_bytes": tree_bytes(run.directory.path)[1] - checkpoint_bytes,
        "env_steps": run.state.iteration * run.settings.env_steps_per_iteration,
    }


def soak(settings, out, minutes, every_seconds):
    """Trains for so many minutes. Returns the samples."""
    samples, started = [], time.monotonic()

    def watch(agent, progress):
        now = time.monotonic() - started
        if not samples or now - samples[-1]["seconds"] >= every_seconds:
            gc.collect()  # emulators of an evaluation end with their object
            samples.append(sample(run, started))
        return now >= 60.0 * minutes

    options = {"console": "none", "tensorboard": True, "evaluation": False}
    with Run(settings, out, callbacks=[watch], **options) as run:
        parts.train(run)
    return samples


def figures(samples):
    """Returns what the samples say, the first half taken for the warm-up."""
    columns = {name: np.array([s[name] for s in samples]) for name in samples[0]}
    seconds, half = columns["seconds"], len(samples) // 2
    slope = np.polyfit(seconds[half:], columns["rss_bytes"][half:], 1)[0]
    rates = np.diff(columns["env_steps"]) / np.diff(seconds)
    quarter = len(rates) // 4
    found = {
        "minutes": seconds[-1] / 60.0,
        "env_steps": int(columns["env_steps"][-1]),
        "rss_mib": columns["rss_bytes"][-1] / 2**20,
        "rss_mb_per_hour": slope * 3600.0 / 1e6,
        "rss_growth_mb": float(
            np.median(columns["rss_bytes"][-max(1, half // 2) :])
            - np.median(columns["rss_bytes"][half : half + max(1, half // 2)])
        )
        / 1e6,
        "throughput_ratio": float(
            np.median(rates[-max(1, quarter) :])
            / np.median(rates[quarter : 2 * quarter + 1])
        ),
        "checkpoint_mb": columns["checkpoint_bytes"].max() / 1e6,
        "log_mb_per_hour": float(
            np.polyfit(seconds, columns["log_bytes"], 1)[0] * 3600.0 / 1e6
        ),
    }
    found["rss_mb_by_tenths"] = [
        float(np.median(part)) / 1e6
        for part in np.array_split(columns["rss_bytes"], 10)
        if len(part)
    ]
    for name in COUNTS:
        found[name] = {
            "first half": int(columns[name][1 : half + 1].max()),
            "second half": int(columns[name][half:].max()),
        }
    return found


def print_tables(samples, found):
    """Prints the course of the run, and what is to be said of it."""
    print("| minute | agent steps | RSS MiB | descriptors | threads | files | traces |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for one in samples[:: max(1, len(samples) // 12)]:
        print(
            f"| {one['seconds'] / 60:.1f} | {one['env_steps']} "
            f"| {one['rss_bytes'] / 2**20:.1f} | {one['descriptors']} "
            f"| {one['threads']} | {one['files']} | {one['traces']} |"
        )
    print("\n| figure | value |\n| --- | --- |")
    print(f"| growth of RSS in the last half, MB/h | {found['rss_mb_per_hour']:.2f} |")
    print(f"| last quarter's RSS less the third's, MB | {found['rss_growth_mb']:.2f} |")
    medians = ", ".join(f"{mb:.0f}" for mb in found["rss_mb_by_tenths"])
    print(f"| medians of RSS over tenths of the run, MB | {medians} |")
    ratio = found["throughput_ratio"]
    print(f"| agent steps/s, last quarter to second quarter | {ratio:.3f} |")
    print(f"| checkpoints on disk, at most, MB | {found['checkpoint_mb']:.1f} |")
    print(f"| logs, MB/h | {found['log_mb_per_hour']:.2f} |")
    for name in COUNTS:
        halves = found[name]
        print(
            f"| {name}, at most, in either half | {halves['first half']}, "
            f"{halves['second half']} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=pathlib.Path, help="new run directory to keep")
    parser.add_argument("--every-seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="half a minute")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    changes = dict(SETTINGS)
    if options.quick:
        options.minutes, options.every_seconds = 0.4, 0.5
        changes |= {"checkpoint_interval_iterations": 20}
        changes |= {"evaluation_interval_iterations": 50}
    description = machine.describe()
    machine.print_description(description)
    with contextlib.ExitStack() as stack:
        out = options.out
        if out is None:
            out = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = presets.atari(**changes)
        samples = soak(settings, out, options.minutes, options.every_seconds)
    found = figures(samples)
    print_tables(samples, found)
    if options.json:
        result = {"machine": description, "figures": found, "samples": samples}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
