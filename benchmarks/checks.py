"""What it costs to look at every number: the checks, against an iteration.

KERAS_BACKEND=jax python benchmarks/checks.py
"""

import argparse

import machine
import numpy as np
import timing

from keras_dqn import exploration
from keras_dqn import presets
from keras_dqn.envs import gymnasium as gymnasium_envs
from keras_dqn.envs import make_envs
from keras_dqn.replay import checks

# How often each check runs in an iteration of the preset: 4 steps of 8 games, 8
# minibatches. (`CartPole-v1` stands for environments made by Gymnasium.)
STEPS, GAMES, UPDATES, BATCH = 4, 8, 8, 32


def programs(envs):
    """Returns the checks by name, each with its calls per iteration."""
    rng = np.random.default_rng(0)
    q_values = rng.normal(size=(GAMES, 4)).astype(np.float32)
    rewards = np.ones(GAMES, np.float32)
    frames = np.zeros((GAMES, 4, 84, 84), np.uint8)
    td_errors = rng.normal(size=BATCH)
    observation = np.ones(4, np.float32)
    actions = np.zeros(GAMES, np.int64)
    with make_envs("CartPole-v1", GAMES) as cartpole:
        encode, check_reward = cartpole._encode, gymnasium_envs.check_reward
    nothing = int
    return {
        "Q-values are finite": (
            lambda: exploration._checked_q_values(q_values),
            STEPS,
        ),
        "actions are in range": (lambda: envs._check_actions(actions), STEPS),
        "a watchdog can see the call": (lambda: envs._call(nothing), STEPS),
        "rewards are finite, in the replay": (
            lambda: checks.checked_rewards(rewards, GAMES),
            STEPS,
        ),
        "shape and dtype of observations": (
            lambda: checks.check_observations(
                "observations", frames, frames.shape, frames.dtype
            ),
            STEPS,
        ),
        "largest reward, for the warning": (
            lambda: float(np.abs(rewards).max()),
            STEPS,
        ),
        "TD errors are finite": (lambda: np.isfinite(td_errors).all(), UPDATES),
        "largest Q-value, for the warning": (lambda: float(np.abs(td_errors).max()), 1),
        "Gymnasium: reward and observation": (
            lambda: (check_reward("", 1.0), encode("", observation)),
            STEPS * GAMES,
        ),
    }


def iteration_seconds(iterations):
    """Returns seconds of each iteration of the preset once it trains."""
    from keras_dqn.runs import parts  # here, because it needs a Keras backend

    settings = presets.breakout(
        replay_capacity=256,
        env_steps=256 + 32 * (iterations + 2),
        num_envs=GAMES,
    )
    seconds = []
    with make_envs("Breakout", GAMES) as envs:
        agent = parts.make_agent(settings, envs)
        fields = ("vector_steps_per_iteration", "updates_per_iteration", "batch_size")
        agent.fit(
            envs,
            settings.env_steps,
            monitors=None,
            **{name: getattr(settings, name) for name in fields},
            callbacks=[lambda agent, p: seconds.append(p.seconds * p.is_training)],
        )
    return np.array([s for s in seconds if s][2:])  # the first two compile


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--iteration-ms",
        type=float,
        help="time of an iteration to compare with; default: it is measured",
    )
    parser.add_argument("--quick", action="store_true", help="does it run?")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    description = machine.describe()
    machine.print_description(description)
    with make_envs("Breakout", GAMES) as envs:
        found = programs(envs)
        seconds = timing.interleave(
            {name: function for name, (function, _) in found.items()},
            rounds,
            repeats=20 if options.quick else 2_000,
        )
    if options.iteration_ms is None:
        iteration = timing.summarize(iteration_seconds(rounds))
    else:
        iteration = timing.summarize([options.iteration_ms / 1e3])
    rows, total = [], 0.0
    for name, (_, calls) in found.items():
        each = timing.summarize(seconds[name])
        share = each.median * calls / iteration.median
        total += share
        rows.append([name, each.text(1e6), calls, f"{100 * share:.4f} %"])
    rows.append(["all", "", "", f"{100 * total:.4f} %"])
    print(f"\nAn iteration takes {iteration.text(1e3)} ms.")
    timing.print_table(
        "Checks", ["check", "µs", "per iteration", "share of its time"], rows
    )
    figures = {"machine": description, "iteration": iteration}
    figures |= {"share": total, "seconds": seconds}
    timing.write_json(options.json, figures)


if __name__ == "__main__":
    main()
