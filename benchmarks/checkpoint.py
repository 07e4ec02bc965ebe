"""Measures checkpoints of a full replay of 2**20 transitions of an Atari game.

The frames are random. Times include the flush to the disk; `pause` is how long
training would wait: until small arrays are copied and the segment that is overwritten
next is written. Memory is the peak above the replay's own while it saves or loads.
Linux only.

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
    """Returns a full replay. Adding its steps one by one would take minutes."""
    replay = new_replay(capacity)
    rng = np.random.default_rng(0)
    state = replay.state_dict()
    full = {
        "time": np.array(capacity // NUM_ENVS * 3),
        "is_started": np.array(True),
        "age": np.full(NUM_ENVS, 3, np.uint8),
        "ages": np.full(capacity, 3, np.uint8),
        "ended": np.zeros(capacity, np.bool_),
        "frames": Frames(replay, lambda part: rng.integers(0, 256, part.shape, "u1")),
        "actions": np.zeros(capacity, np.int32),
        "rewards": np.zeros(capacity, np.float32),
        "terminated": np.zeros(capacity, np.bool_),
        "leaves": rng.random(capacity) * 0.9 + 0.1,
    }
    replay.load_state_dict({**state, **full})
    return replay


class Frames:
    """What `load_state_dict` reads all frames from: a function of the present ones."""

    def __init__(self, replay, function):
        self.dtype, self.shape = replay.state_spec()["frames"]
        self._function = function

    def read_into(self, array):
        """Replaces the frames, a few at a time."""
        for row in array:
            for start in range(0, len(row), 4096):
                part = row[start : start + 4096]
                part[:] = self._function(part)


def new_replay(capacity):
    replay = PrioritizedReplay(capacity)
    replay.build(
        num_envs=NUM_ENVS, stored_shape=STORED_SHAPE, dtype="uint8", frame_stack=4
    )
    return replay


def advance(replay, steps):
    """Adds `steps` steps of every environment: other frames, and a later time."""
    state = replay.state_dict()
    frames, time = state["frames"], np.array(state["time"] + steps)
    columns = (time - np.arange(steps)) % frames.shape[1]
    frames[:, columns] ^= 255  # a view of the replay's memory
    same = Frames(replay, lambda part: part)
    replay.load_state_dict({**state, "time": time, "frames": same})


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
        saving = self.store.begin(int(state["time"]), parts, {})
        saving.wait_until_written(4)  # the steps of an iteration
        pause = time.perf_counter() - began
        saving.result()
        self._note(name, began, saving.nbytes, pause)
        self.figures[name]["disk_bytes"] = disk_bytes(self.directory) - before

    def load(self, name):
        """Loads into the replay itself: its memory is allocated already."""
        limits = {
            "learner": {"weights": (np.float32, (WEIGHTS,))},
            "replay": self.replay.state_spec(),
        }
        expected = self._some_frames().copy()
        self._begin()
        began = time.perf_counter()
        loaded = checkpoint.load(self.directory, limits=limits)
        self.replay.load_state_dict(loaded.parts["replay"])
        self._note(name, began, self.replay.nbytes, None)
        if not np.array_equal(expected, self._some_frames()):
            raise RuntimeError("what was loaded differs from what was saved")

    def _some_frames(self):
        return self.replay.state_dict()["frames"][:, ::997]

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
        steps = arguments.capacity // NUM_ENVS
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
