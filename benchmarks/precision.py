"""Trains the same network in float32 and in mixed precision, and compares them.

Both start from the same weights and see the same minibatches of real Breakout. A
third one, float32 again, sees other minibatches: what chance alone does.

    KERAS_BACKEND=tensorflow python benchmarks/precision.py     # about 6 minutes
"""

import argparse

import keras
import machine
import numpy as np
import timing
import transitions
import update

from keras_dqn.backend import device_name
from keras_dqn.envs import make_envs
from keras_dqn.replay import UniformReplay

TARGET_SYNC_UPDATES = 312  # the reference implementation's


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=10, help="of the table")
    parser.add_argument("--transitions", type=int, default=2**14)
    parser.add_argument("--dtype-policy", default="mixed_bfloat16")
    parser.add_argument("--quick", action="store_true", help="seconds: does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.updates, arguments.rows, arguments.transitions = 4, 2, 256
    return arguments


def played(transitions_wanted):
    """Returns a uniform replay of random play, and the number of actions."""
    rng = np.random.default_rng(0)
    with make_envs("Breakout", num_envs=8, life_loss="reset") as envs:
        replay = UniformReplay(transitions_wanted)
        replay.build(
            num_envs=envs.num_envs,
            stored_shape=envs.stored_shape,
            dtype=envs.observation_dtype,
            frame_stack=envs.frame_stack,
        )
        replay.start(envs.reset(seed=0))
        while not replay.is_full:
            actions = transitions.random_actions(envs, rng)
            envs.send(actions)
            replay.add(actions, envs.recv())
        return replay, envs.num_actions


class Student:
    """A learner, its own stream of minibatches, and what it found at each step."""

    def __init__(self, replay, num_actions, dtype_policy, seed):
        self._learner = update.make_learner(num_actions, dtype_policy)
        self._replay = replay
        self._rng = np.random.default_rng(seed)
        self.losses, self.q_values = [], []

    def step(self):
        found = self._learner.update(self._replay.sample(32, self._rng).batch)
        self.losses.append(float(found.loss))
        self.q_values.append(float(found.q_values.mean()))
        if len(self.losses) % TARGET_SYNC_UPDATES == 0:
            self._learner.sync_target()


def report(students, rows):
    """Prints means over equal parts of the run. Returns them by name."""
    columns, parts = ["updates"], []
    for name, student in students.items():
        columns += [f"loss, {name}", f"Q, {name}"]
        parts += [np.array_split(x, rows) for x in (student.losses, student.q_values)]
    ends = np.cumsum([len(part) for part in parts[0]])
    means = [[float(part.mean()) for part in series] for series in parts]
    lines = [
        (f"to {end}", *(f"{series[i]:.5f}" for series in means))
        for i, end in enumerate(ends)
    ]
    timing.print_table("Means over parts of the run", columns, lines)
    return {"ends": ends, **dict(zip(columns[1:], means, strict=True))}


def main():
    arguments = parse_arguments()
    description = machine.describe()
    machine.print_description(description)
    print(f"backend {keras.config.backend()}, device {device_name()}")
    replay, num_actions = played(arguments.transitions)
    other = arguments.dtype_policy
    students = {
        "float32": Student(replay, num_actions, "float32", seed=1),
        other: Student(replay, num_actions, other, seed=1),
        "float32, other draws": Student(replay, num_actions, "float32", seed=2),
    }
    for _ in range(arguments.updates):
        for student in students.values():
            student.step()
    result = {
        "machine": description,
        "backend": keras.config.backend(),
        "device": device_name(),
        "means": report(students, arguments.rows),
    }
    timing.write_json(arguments.json, result)


if __name__ == "__main__":
    main()
