"""Measures the memory that a full replay takes: 1,000,000 transitions of Breakout.

Resident memory is what the system says of this process (`/proc/self/statm`), and
its peak (`VmHWM`) shows whether anything was copied on the way. Linux only.

    python benchmarks/replay_memory.py                      # plays: about 10 minutes
    python benchmarks/replay_memory.py --frames synthetic   # plays 20,000 steps
"""

import argparse
import pathlib
import resource
import time

import machine
import numpy as np
import timing
import transitions

from keras_dqn.envs import make_envs
from keras_dqn.replay import PrioritizedReplay

GB = 1e9


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--env", default="Breakout")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument(
        "--frames",
        choices=("real", "synthetic"),
        default="real",
        help="play all the way, or feed recorded steps again and again",
    )
    parser.add_argument(
        "--recorded-steps", type=int, default=20_000, help="of all games, to repeat"
    )
    parser.add_argument("--samples", type=int, default=5_000, help="minibatches of 32")
    parser.add_argument("--quick", action="store_true", help="seconds: does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.capacity, arguments.samples = 8_000, 50
        arguments.recorded_steps = 1_600
    return arguments


def resident_bytes():
    """Returns the resident memory of this process now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_bytes():
    """Returns the highest resident memory since `forget_peak`."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak():
    """Makes the peak start again from what is resident now, where that is allowed."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # the peak is then that of the whole run, which can only be higher


class MemoryLog:
    """Records resident memory, and its peak, above what it was at first."""

    def __init__(self, capacity):
        forget_peak()
        self._start, self._capacity = resident_bytes(), capacity
        self.rows, self.figures = [], {"before_bytes": self._start}

    def note(self, stage, seconds=0.0):
        """Adds a row: what is resident now, and the peak since the last row."""
        now, peak = resident_bytes() - self._start, peak_bytes() - self._start
        each = now / self._capacity
        self.rows.append(
            (stage, f"{now / GB:.3f}", f"{peak / GB:.3f}", f"{each:,.0f}")
            + (f"{seconds:,.1f}",)
        )
        self.figures[stage] = {"bytes": now, "peak_bytes": peak, "seconds": seconds}
        forget_peak()


def draw(replay, count, rng):
    """Samples, and writes priorities back, `count` minibatches of 32."""
    for _ in range(count):
        sample = replay.sample(32, rng, beta=0.4)
        replay.update_priorities(sample.ids, rng.normal(size=sample.ids.shape))


def run(arguments):
    """Fills a replay and uses it. Returns the log of its memory."""
    rng = np.random.default_rng(0)
    envs = make_envs(arguments.env, arguments.num_envs, seed=0, life_loss="reset")
    source = envs
    if arguments.frames == "synthetic":
        steps = max(1, arguments.recorded_steps // arguments.num_envs)
        source = transitions.RecordedGame(envs, steps, rng)
    replay = PrioritizedReplay(arguments.capacity)
    log = MemoryLog(arguments.capacity)
    transitions.build(replay, source)
    log.note("built")
    seconds, _ = timing.timed(transitions.fill, replay, source, rng)
    log.note("filled", seconds)
    seconds, _ = timing.timed(draw, replay, arguments.samples, rng)
    log.note(f"{arguments.samples:,} x sample and write back", seconds)
    started = time.perf_counter()
    for name, array in replay.state_dict().items():
        if name == "frames" and not np.shares_memory(array, replay.state_dict()[name]):
            raise SystemExit("`state_dict` copied the frames.")
    log.note("state_dict", time.perf_counter() - started)
    log.figures["declared_bytes"] = replay.nbytes
    envs.close()
    return log


def main():
    arguments = parse_arguments()
    description = machine.describe()
    machine.print_description(description)
    log = run(arguments)
    title = (
        f"Memory of a prioritized replay of {arguments.capacity:,} transitions of "
        f"{arguments.env}, {arguments.frames} frames, above "
        f"{log.figures['before_bytes'] / GB:.3f} GB before"
    )
    columns = ("after", "GB", "peak GB", "bytes per transition", "seconds")
    timing.print_table(title, columns, log.rows)
    declared = log.figures["declared_bytes"]
    filled = log.figures["filled"]
    print(f"`replay.nbytes` says {declared / GB:.3f} GB.")
    excess = filled["peak_bytes"] - filled["bytes"]
    print(f"The peak while filling was {excess / GB:.3f} GB above what was kept.")
    result = {
        "machine": description,
        "capacity": arguments.capacity,
        "frames": arguments.frames,
        "figures": log.figures,
    }
    timing.write_json(arguments.json, result)


if __name__ == "__main__":
    main()
