"""Times the whole training loop on the real game, and says where the time goes.

The preset `breakout` (8 games, 8 minibatches of 32 for every 32 agent steps, dueling,
double Q, prioritized replay) on the current Keras backend, after the replay is
full. `--peer sb3` runs Stable-Baselines3's plain DQN (none of the three) in turns
with it, at the same number of agent steps per gradient step.

    KERAS_BACKEND=tensorflow python benchmarks/loop.py --peer sb3
"""

import argparse
import contextlib

import children
import machine
import timing

SB3 = [
    "stable-baselines3==2.9.2",
    "torch==2.13.0",
    "gymnasium==1.2.3",
    "ale-py==0.12.1",
    "opencv-python-headless",
]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", default="Breakout")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--replay-capacity", type=int, default=2**14)
    parser.add_argument("--dtype-policy", default="float32", help='or "mixed_bfloat16"')
    parser.add_argument(
        "--updates-per-dispatch", type=int, default=1, help="K of update_many"
    )
    parser.add_argument(
        "--replay-device", default="host", help='or "accelerator": frames kept there'
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--round-steps", type=int, default=640, help="agent steps per round"
    )
    parser.add_argument("--peer", choices=("none", "sb3"), default="none")
    parser.add_argument("--cache", help="folder for the peer's environment")
    parser.add_argument("--quick", action="store_true", help="does it run?")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.replay_capacity, arguments.rounds = 256, 2
        arguments.round_steps = 64
    return arguments


def ours_arguments(arguments):
    """Returns the command line of `loop_ours.py`."""
    names = (
        "env",
        "num_envs",
        "replay_capacity",
        "dtype_policy",
        "updates_per_dispatch",
        "replay_device",
    )
    pairs = [(f"--{n.replace('_', '-')}", getattr(arguments, n)) for n in names]
    return [word for pair in pairs for word in pair]


def measure(ours, peer, arguments):
    """Runs the loops in turns. Returns agent steps per second, and profiles."""
    programs = {"keras_dqn": ours} | ({"sb3": peer} if peer else {})
    for child in programs.values():
        child.ask("fill", steps=arguments.replay_capacity)
    rates = {name: [] for name in programs}
    profiles = []
    for i in range(arguments.rounds):
        for name in list(programs)[:: 1 if i % 2 == 0 else -1]:
            answer = programs[name].ask("run", steps=arguments.round_steps)
            rates[name].append(answer["steps"] / answer["seconds"])
        if i % 2:  # as often without timers as with, and never the same seconds
            profiles.append(ours.ask("profile", steps=arguments.round_steps))
    return rates, profiles


def report_rates(rates):
    """Prints agent steps per second, and ratios within each round."""
    rows, figures = [], {}
    for name, values in rates.items():
        figures[name] = {"steps_per_second": timing.summarize(values)}
        ratio = "-"
        if name != "sb3" and "sb3" in rates:
            figures[name]["ratio"] = timing.ratio(values, rates["sb3"])
            ratio = figures[name]["ratio"].text()
        text = figures[name]["steps_per_second"].text(digits=1)
        rows.append((name, text, ratio))
    columns = ("program", "agent steps/s (quartiles)", "ratio to SB3's DQN")
    timing.print_table("Whole loop, after the fill", columns, rows)
    return figures


def report_profile(profiles):
    """Prints where the milliseconds of an iteration go."""
    sections = {
        name: [p["seconds"][name] / p["iterations"] for p in profiles]
        for name in profiles[0]["seconds"]
    }
    calls = {
        name: profiles[0]["calls"].get(name, 0) / profiles[0]["iterations"]
        for name in sections
    }
    whole = timing.summarize(sections["whole iteration"]).median
    rows, figures = [], {}
    for name, values in sections.items():
        figures[name] = summary = timing.summarize(values)
        count = f"{calls[name]:.1f}" if calls[name] else "-"
        share = f"{100 * summary.median / whole:.1f} %"
        rows.append((name, count, summary.text(1e3), share))
    columns = ("section", "calls", "ms per iteration (quartiles)", "share")
    timing.print_table("Where an iteration's time goes (timers on)", columns, rows)
    return figures


def main():
    arguments = parse_arguments()
    description = machine.describe()
    machine.print_description(description)
    with contextlib.ExitStack() as stack:
        peer = None
        if arguments.peer == "sb3":
            python = children.environment("sb3", SB3, arguments.cache)
            words = ["--env", arguments.env]
            words += ["--buffer-size", arguments.replay_capacity]
            peer = stack.enter_context(children.Child("loop_sb3.py", python, words))
            print("peer:", peer.ask("describe"))
        ours = stack.enter_context(
            children.Child("loop_ours.py", arguments=ours_arguments(arguments))
        )
        about = ours.ask("describe")
        print("ours:", about)
        rates, profiles = measure(ours, peer, arguments)
    figures = report_rates(rates)
    result = {
        "machine": description,
        "ours": about,
        "rates": figures,
        "profile_seconds": report_profile(profiles),
    }
    timing.write_json(arguments.json, result)


if __name__ == "__main__":
    main()
