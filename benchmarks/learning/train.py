"""Trains one run of an experiment, plays its final network, and keeps its log.

    KERAS_BACKEND=jax python benchmarks/learning/train.py cartpole --seed 1
    KERAS_BACKEND=jax python benchmarks/learning/train.py ablations --seed 1    # all

The run is in `runs/learning/<experiment>/<backend>-seed<seed>`, where an earlier one
is resumed. What is kept, under `benchmarks/learning/logs`, is the log, compressed, and
a JSON file with the command, the machine, the versions and the scores.
"""

import argparse
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import machine  # noqa: E402
from experiments import ABLATIONS  # noqa: E402
from experiments import EXPERIMENTS  # noqa: E402
from logs import keep  # noqa: E402
from logs import training_of  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = sorted([*EXPERIMENTS, *ABLATIONS, "ablations"])
    parser.add_argument("experiment", choices=names)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", default="runs/learning", help="folder of the runs")
    parser.add_argument("--logs", default=str(HERE / "logs"), help="folder to keep in")
    parser.add_argument(
        "--flags", default="", help="further flags of `keras-dqn train`, for a trial"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    names = [arguments.experiment]
    for name in ABLATIONS if names == ["ablations"] else names:
        code = train((EXPERIMENTS | ABLATIONS)[name], name, arguments)
        if code:
            return code
    return 0


def train(experiment, name, arguments):
    """Trains one run, plays its network and keeps its log. Returns the exit code."""
    import plain  # here: these need a Keras backend

    from keras_dqn.cli.train import main as keras_dqn_train
    from keras_dqn.runs import parts

    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    name = f"{name}/{backend}-seed{arguments.seed}"
    out = pathlib.Path(arguments.runs) / name
    flags = f"{experiment.flags} {arguments.flags} --seed {arguments.seed}".split()
    is_resumed = (out / "settings.json").exists()
    words = ["--no-evaluation", "--console", "plain", "--out", str(out)]
    # A resume takes no preset, and refuses every other flag that differs.
    words += ["--resume", *without_preset(flags)] if is_resumed else flags
    program = parts.train if experiment.is_dueling else plain.train
    code = keras_dqn_train(program, "breakout", words)
    if code:
        return code
    result = {
        "experiment": name.rpartition("/")[0],
        "backend": backend,
        "seed": arguments.seed,
        "command": " ".join([f"KERAS_BACKEND={backend}", "keras-dqn", "train", *flags]),
        "network": "dueling" if experiment.is_dueling else "plain",
        "machine": machine.describe(),
        "training": training_of(out / "metrics.jsonl"),
        "evaluations": [
            played(out, experiment.episodes, epsilon) for epsilon in experiment.epsilons
        ],
    }
    keep(out, pathlib.Path(arguments.logs) / name, result)
    return 0


def without_preset(flags):
    """Returns the flags but `--preset` and its value."""
    at = flags.index("--preset")
    return flags[:at] + flags[at + 2 :]


def played(out, episodes, epsilon):
    """Plays whole games with the final network. Returns the scores and their mean."""
    import keras_dqn

    settings = json.loads((out / "settings.json").read_text())
    agent = keras_dqn.DQNAgent(keras_dqn.load_network(out / "network.keras"))
    started = time.monotonic()
    found = agent.evaluate(
        settings["env_id"], episodes, epsilon=epsilon, seed=settings["seed"]
    )
    print(found, flush=True)
    return {
        "epsilon": epsilon,
        "mean": found.mean,
        "interval_95": list(found.interval),
        "scores": found.scores.tolist(),
        "lengths": found.lengths.tolist(),
        "seconds": round(time.monotonic() - started, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
