"""The training loop of keras_dqn, run by `loop.py` a few iterations at a time.

The profile is taken by standing a timer before each object that the loop is
handed. The package itself knows nothing of it.
"""

import argparse
import collections
import itertools
import os
import tempfile
import time

import children
import keras

from keras_dqn import presets
from keras_dqn import run_state
from keras_dqn import training
from keras_dqn.agent import DQNAgent
from keras_dqn.backend import DeviceFrames
from keras_dqn.backend import device_name
from keras_dqn.envs import make_envs
from keras_dqn.models.dueling import dueling_cnn
from keras_dqn.monitor import JsonLines
from keras_dqn.monitor import Monitors
from keras_dqn.monitor import make_console
from keras_dqn.replay import PrioritizedReplay

EPSILON = 0.1  # the peer's too: how often it runs its network depends on it

SECTIONS = {
    "q_values": "act: Q-values",
    "send": "emulate: send",
    "recv": "emulate: receive",
    "add": "store",
    "sample": "sample",
    "update": "update",
    "update_many": "update",
    "update_priorities": "write back",
    "sync_target": "sync target",
    "write": "log",
}


class Timers:
    """Seconds and calls by section."""

    def __init__(self):
        self.is_on = False
        self.clear()

    def clear(self):
        self.seconds = collections.Counter()
        self.calls = collections.Counter()

    def stand_before(self, thing):
        """Returns a stand-in whose methods named in `SECTIONS` are timed."""
        return _Timed(thing, self)


class _Timed:
    def __init__(self, thing, timers):
        self._thing, self._timers = thing, timers

    def __getattr__(self, name):
        value = getattr(self._thing, name)
        if name not in SECTIONS:
            return value

        def call(*args, **kwargs):
            if not self._timers.is_on:
                return value(*args, **kwargs)
            started = time.perf_counter()
            result = value(*args, **kwargs)
            section = SECTIONS[name]
            self._timers.seconds[section] += time.perf_counter() - started
            self._timers.calls[section] += 1
            return result

        return call


class Loop:
    """A training run that is advanced on request."""

    def __init__(self, arguments):
        keras.config.set_dtype_policy(arguments.dtype_policy)
        self._settings = presets.breakout(
            env_id=arguments.env,
            num_envs=arguments.num_envs,
            replay_capacity=arguments.replay_capacity,
            updates_per_dispatch=arguments.updates_per_dispatch,
            replay_device=arguments.replay_device,
            dtype_policy=arguments.dtype_policy,
            epsilon_endpoints=((0, EPSILON), (1, EPSILON)),
            epsilon_final=EPSILON,
        )
        self._envs = make_envs(
            arguments.env,
            arguments.num_envs,
            life_loss=self._settings.life_loss,
            clip_rewards=self._settings.clip_rewards,
        )
        network = dueling_cnn(self._envs.num_actions, seed=0)
        replay = PrioritizedReplay(arguments.replay_capacity)
        self._agent = DQNAgent(network, replay)
        self._agent.compile()
        self._agent.build(self._envs)
        if arguments.replay_device == "accelerator":
            frames = self._agent.replay.attach_frames(DeviceFrames)
            self._agent.learner.attach_frames(frames)
        self._timers = Timers()
        self._records = training.run(
            *map(
                self._timers.stand_before,
                (self._agent.learner, self._agent.replay, self._envs),
            ),
            self._settings,
            run_state.RunState.from_seed(0),
        )
        # As a run that nobody watches: lines into nowhere, figures into a file.
        self._folder = tempfile.TemporaryDirectory()
        monitors = Monitors(
            [
                make_console("plain", open(os.devnull, "w")),
                JsonLines(os.path.join(self._folder.name, "metrics.jsonl")),
            ]
        )
        monitors.start(self._agent.run_info(self._envs, self._settings))
        self._monitors = self._timers.stand_before(monitors)

    def describe(self):
        return {
            "backend": keras.config.backend(),
            "device": device_name(),
            "dtype_policy": keras.config.dtype_policy().name,
            "updates_per_dispatch": self._settings.updates_per_dispatch,
            "replay_device": self._settings.replay_device,
            "epsilon": EPSILON,
        }

    def fill(self, steps):
        """Plays until training has begun, and everything is compiled."""
        for progress in self._records:
            self._monitors.write(progress)
            if progress.is_training:
                break
        return self.run(3 * self._settings.env_steps_per_iteration)

    def run(self, steps):
        """Goes on for about so many agent steps. Returns steps and seconds."""
        iterations = max(1, round(steps / self._settings.env_steps_per_iteration))
        started = time.perf_counter()
        for progress in itertools.islice(self._records, iterations):
            self._monitors.write(progress)
        seconds = time.perf_counter() - started
        done = iterations * self._settings.env_steps_per_iteration
        return {"steps": done, "seconds": seconds, "iterations": iterations}

    def profile(self, steps):
        """As `run`, with timers on. Adds seconds and calls by section."""
        self._timers.clear()
        self._timers.is_on = True
        result = self.run(steps)
        self._timers.is_on = False
        whole = result["seconds"]
        seconds = {name: 0.0 for name in dict.fromkeys(SECTIONS.values())}
        seconds |= self._timers.seconds
        seconds["other"] = whole - sum(seconds.values())
        seconds["whole iteration"] = whole
        return {**result, "seconds": seconds, "calls": dict(self._timers.calls)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", default="Breakout")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--replay-capacity", type=int, default=2**14)
    parser.add_argument("--dtype-policy", default="float32")
    parser.add_argument("--updates-per-dispatch", type=int, default=1)
    parser.add_argument("--replay-device", default="host")
    loop = Loop(parser.parse_args())
    children.serve(
        describe=loop.describe, fill=loop.fill, run=loop.run, profile=loop.profile
    )


if __name__ == "__main__":
    main()
