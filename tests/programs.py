"""Programs for tests that need a process of their own: `python -m tests.programs`.

`reset`, `recv` and `close` play environments that hang there for ever, `nowhere`
hangs without any; a line "hanging" comes before. `run` is the training command,
which knows `Hanging-v0` too, and says "forked" whenever the process forks.
"""

import ctypes
import os
import sys

import gymnasium

from keras_dqn import envs
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import signals
from keras_dqn.system import watchdog
from tests import toys


def hang():
    """Blocks for ever in C, without Python's lock; no signal ends it."""
    print("hanging", flush=True)
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


class HangingEnv(toys.CountingEnv):
    steps = 0
    where = "recv"
    at = 30

    def reset(self, **kwargs):
        if self.where == "reset":
            hang()
        return super().reset(**kwargs)

    def step(self, action):
        HangingEnv.steps += 1
        if self.where == "recv" and self.steps == self.at:
            hang()
        return super().step(action)

    def close(self):
        if self.where == "close":
            hang()


def play(where, directory, timeout_seconds):
    HangingEnv.where, HangingEnv.at = where, 3
    made = envs.make_envs(HangingEnv)
    dog = watchdog.Watchdog(RunDirectory(directory).hang, timeout_seconds)
    with signals.handled(signals.COMMAND), dog, dog.watching(made), made:
        if where == "nowhere":
            hang()
        made.reset(0)
        for _ in range(3):
            made.step([0])


if __name__ == "__main__":
    where, *arguments = sys.argv[1:]
    watchdog.GRACE_SECONDS = 1.0
    gymnasium.register("Hanging-v0", entry_point=HangingEnv)
    if where == "run":
        from keras_dqn.cli.__main__ import main

        os.register_at_fork(before=lambda: os.write(2, b"forked\n"))
        sys.exit(main(["train", *arguments]))
    play(where, arguments[0], float(arguments[1]) if arguments[1] != "none" else None)
