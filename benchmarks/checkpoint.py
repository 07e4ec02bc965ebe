"""Measures checkpoints of a full replay of 2**20 transitions of an Atari game.

The frames are random, so that nothing could be compressed. Times are until all is
flushed to the disk; `pause` is what the training would wait for: copying what is
small, and the segment that is overwritten next. Memory is what the process holds
above the replay while it saves and loads. Linux only.

    python benchmarks/checkpoint.py            # 7.5 GB of memory, 16 GB of disk
    python benchmarks/checkpoint.py --quick
"""

import argparse
import json
import pathlib
import tempfile
import time

import machine
import numpy as np
import replay_memory

from keras_dqn import checkpoint
from keras_dqn.replay import PrioritizedReplay

NUM_ENVS = 8
STORED_SHAPE = (4, 84, 84)
WEIGHTS = 8_000_000  # of both networks and the optimizer, about those of Breakout


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--capacity", type=int, default=2**20)
    parser.add_argument("--directory", help="on the disk that is asked about")
    parser.add_argument("--quick", action="store_true", help="seconds: does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.capacity = 2**13
    return arguments


def full_replay(capacity):
    """Returns a replay whose memory is all written, as after `capacity` steps."""
    replay = new_replay(capacity)
    ring = replay._store.ring
    rng = np.random.default_rng(0)
    for row in ring.frames:  # straight into its memory: adding takes many minutes
        for start in range(0, len(row), 4096):
            part = row[start : start + 4096]
            part[:] = rng.integers(0, 256, part.shape, np.uint8)
    state = replay.state_dict()
    steps = capacity // NUM_ENVS
    full = {
        "time": np.array(steps * 3),
        "is_started": np.array(True),
        "age": np.full(NUM_ENVS, 3, np.uint8),
        "ages": np.full(capacity, 3, np.uint8),
        "ended": np.zeros(capacity, np.bool_),
        "frames": ring.frames,
        "actions": np.zeros(capacity, np.int32),
        "rewards": np.zeros(capacity, np.float32),
        "terminated": np.zeros(capacity, np.bool_),
        "leaves": rng.random(capacity) * 0.9 + 0.1,
    }
    replay.load_state_dict({**state, **full})
    return replay


def new_replay(capacity):
    replay = PrioritizedReplay(capacity)
    replay.build(
        num_envs=NUM_ENVS, stored_shape=STORED_SHAPE, dtype="uint8", frame_stack=4
    )
    return replay


def advance(replay, steps):
    """Goes on by so many steps of every environment: new frames, later time."""
    ring = replay._store.ring
    columns = (ring.time + 1 + np.arange(steps)) % ring.columns
    ring.frames[:, columns] ^= 255
    ring.time += steps


class Bench:
    """Saves and loads, and notes time, bytes and memory of each."""

    def __init__(self, replay, directory):
        self.replay, self.directory = replay, directory
        self.store = checkpoint.Store(directory)
        self.rows, self.figures = [], {"replay_bytes": replay.nbytes}
        self.learner = {"weights": np.ones(WEIGHTS, np.float32)}

    def save(self, name):
        before = disk_bytes(self.directory)
        self._begin()
        began = time.perf_counter()
        state = self.replay.state_dict()
        state["frames"] = checkpoint.Ring(state["frames"], int(state["time"]))
        parts = {"learner": self.learner, "replay": state}
        saving = self.store.begin(self.replay._store.ring.time, parts, {})
        saving.wait_until_written(4)  # the steps of an iteration
        pause = time.perf_counter() - began
        saving.result()
        self._note(name, began, saving.nbytes, pause)
        self.figures[name]["disk_bytes"] = disk_bytes(self.directory) - before

    def load(self, name):
        """Into a replay of its own, whose memory is written already."""
        limits = {
            "learner": {"weights": (np.float32, (WEIGHTS,))},
            "replay": self.replay.state_spec(),
        }
        expected = self.replay._store.ring.frames[:, ::997].copy()
        self._begin()
        began = time.perf_counter()
        loaded = checkpoint.load(self.directory, limits=limits)
        self.replay.load_state_dict(loaded.parts["replay"])
        self._note(name, began, self.replay.nbytes, None)
        if not np.array_equal(expected, self.replay._store.ring.frames[:, ::997]):
            raise RuntimeError("what was loaded differs from what was saved")

    def _begin(self):
        replay_memory.forget_peak()
        self._resident = replay_memory.resident_bytes()

    def _note(self, name, began, nbytes, pause):
        seconds = time.perf_counter() - began
        memory = replay_memory.peak_bytes() - self._resident
        self.figures[name] = {
            "seconds": seconds,
            "bytes": nbytes,
            "pause_seconds": pause,
            "memory_bytes": memory,
        }
        share = memory / self.replay.nbytes
        paused = "" if pause is None else f"{pause:.2f}"
        self.rows.append(
            f"| {name} | {nbytes / 1e9:.2f} | {seconds:.1f} | {paused} | {share:.1%} |"
        )
        print(self.rows[-1], flush=True)


def disk_bytes(directory):
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())


def main():
    arguments = parse_arguments()
    description = machine.describe()
    machine.print_description(description)
    replay = full_replay(arguments.capacity)
    print(f"A replay of {arguments.capacity:,} transitions: {replay.nbytes:,} bytes\n")
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
        bench = Bench(replay, pathlib.Path(scratch))
        print("| what | GB | seconds | pause, s | memory above the replay |")
        print("| --- | --- | --- | --- | --- |")
        bench.save("first save")
        steps = replay._store.ring.steps
        for name in ("a quarter changed", "a quarter changed, again"):
            advance(replay, steps // 4)
            bench.save(name)
        advance(replay, 4)
        bench.save("4 steps changed")
        bench.load("load")
    if arguments.json:
        text = json.dumps({"machine": description, **bench.figures}, indent=1)
        pathlib.Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
