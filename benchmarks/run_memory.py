"""Measures the memory of a whole run: full replay, emulators, 20,000 updates.

The replay of 1,000,000 transitions is filled with recorded steps of the game, fed
again and again; then the real training loop goes on, with a small network, and the
resident memory of the process is read after every 1,000 updates. Linux only.

    KERAS_BACKEND=tensorflow python benchmarks/run_memory.py
"""

import argparse

import keras
import machine
import numpy as np
import replay_memory
import timing
import transitions

from keras_dqn import presets
from keras_dqn import run_state
from keras_dqn import training
from keras_dqn.agent import DQNAgent
from keras_dqn.backend import device_name
from keras_dqn.envs import make_envs
from keras_dqn.replay import PrioritizedReplay

GB = 1e9
ALLOWED_FACTOR, ALLOWED_BYTES = 1.05, 0.6 * GB  # times the frames, and on top


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--interval", type=int, default=1_000, help="updates")
    parser.add_argument("--warm-up", type=int, default=4_000, help="not judged")
    parser.add_argument("--recorded-steps", type=int, default=2_000)
    parser.add_argument("--updates-per-dispatch", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="seconds: does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.capacity, arguments.recorded_steps = 8_000, 800
        arguments.updates, arguments.interval, arguments.warm_up = 160, 16, 32
    return arguments


def small_network(num_actions):
    """A network whose updates take a millisecond or two."""
    inputs = keras.Input((84, 84, 4))
    x = keras.ops.cast(inputs, "float32") / 255.0
    x = keras.layers.Conv2D(8, 8, strides=8, activation="relu")(x)
    outputs = keras.layers.Dense(num_actions)(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def make_run(arguments):
    """Returns a learner, a full replay, environments and settings."""
    settings = presets.breakout(
        env_steps=100_000_000,
        replay_capacity=arguments.capacity,
        learning_starts_env_steps=1_000,
        updates_per_dispatch=arguments.updates_per_dispatch,
    )
    envs = make_envs("Breakout", settings.num_envs, seed=0, life_loss="reset")
    replay = PrioritizedReplay(arguments.capacity)
    agent = DQNAgent(small_network(envs.num_actions), replay)
    agent.compile()
    agent.build(envs)
    rng = np.random.default_rng(0)
    steps = arguments.recorded_steps // envs.num_envs
    source = transitions.RecordedGame(envs, steps, rng)
    transitions.fill(replay, source, rng)
    return agent, envs, settings


def measure(agent, envs, settings, arguments):
    """Trains. Returns updates and resident bytes, each a list."""
    state = run_state.RunState.from_seed(0)
    updates, resident = [], []
    for _ in training.run(agent.learner, agent.replay, envs, settings, state):
        done = state.updates
        if done // arguments.interval > len(updates):
            updates.append(done)
            resident.append(replay_memory.resident_bytes())
        if done >= arguments.updates:
            break
    return updates, resident


def main():
    arguments = parse_arguments()
    description = machine.describe()
    machine.print_description(description)
    print(f"backend {keras.config.backend()}, device {device_name()}", flush=True)
    before = replay_memory.resident_bytes()
    agent, envs, settings = make_run(arguments)
    filled = replay_memory.resident_bytes()
    updates, resident = measure(agent, envs, settings, arguments)
    envs.close()
    rows = [("imports", f"{before / GB:.3f}"), ("replay full", f"{filled / GB:.3f}")]
    rows += [
        (f"{n:,} updates", f"{r / GB:.3f}")
        for n, r in zip(updates, resident, strict=True)
    ]
    title = f"Resident memory of a run with {arguments.capacity:,} transitions"
    timing.print_table(title, ("after", "GB"), rows)
    is_judged = np.array(updates) > arguments.warm_up
    slope = np.polyfit(*(np.array(x)[is_judged] for x in (updates, resident)), 1)[0]
    frames = arguments.capacity * 84 * 84
    allowed = ALLOWED_FACTOR * frames + ALLOWED_BYTES
    print(
        f"Highest {max(resident) / GB:.3f} GB; 1.05 x frames + 0.6 GB are "
        f"{allowed / GB:.3f} GB. Growth after {arguments.warm_up:,} updates: "
        f"{slope * 1e4 / 1e6:+.2f} MB per 10,000."
    )
    result = {
        "machine": description,
        "backend": keras.config.backend(),
        "capacity": arguments.capacity,
        "updates": updates[-1],
        "frames_bytes": frames,
        "allowed_bytes": allowed,
        "imports_bytes": before,
        "filled_bytes": filled,
        "resident_bytes": max(resident),
        "slope_bytes_per_update": slope,
        "series": {"updates": updates, "resident_bytes": resident},
    }
    timing.write_json(arguments.json, result)


if __name__ == "__main__":
    main()
