"""Keeps the log of a run that was stopped, as a trial of other settings.

    python benchmarks/learning/trials.py runs/learning/breakout-atari/tensorflow-seed1 \
        n-step-3 --flags "--n-steps 3"

A trial is one run, with one seed, of the experiment `breakout-atari` with further flags
(`train.py breakout-atari --flags ...`). `curves.py` writes the table of all.
"""

import argparse
import json
import pathlib

from logs import curve_of
from logs import keep
from logs import runs_of
from logs import training_of

HERE = pathlib.Path(__file__).resolve().parent
BASE = "breakout-atari"  # the experiment, with the seed of the trials
SEED = 1
EVERY = 100_000  # agent steps between two columns of the table


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=pathlib.Path, help="run directory")
    parser.add_argument("name", help="of the trial")
    parser.add_argument("--flags", required=True, help="those that differ")
    parser.add_argument("--logs", type=pathlib.Path, default=HERE / "logs")
    arguments = parser.parse_args()
    settings = json.loads((arguments.run / "settings.json").read_text())
    start = json.loads((arguments.run / "metrics.jsonl").open().readline())
    result = {
        "experiment": "trial",
        "flags": arguments.flags,
        "backend": start["backend"],
        "seed": settings["seed"],
        "settings": settings,
        "versions": start["versions"],
        "training": training_of(arguments.run / "metrics.jsonl"),
        "evaluations": [],
    }
    keep(arguments.run, arguments.logs / "trials" / arguments.name, result)


def table_of(logs):
    """Returns the scores of all trials at the same agent steps, as a table."""
    bases = [each for each in runs_of(BASE, logs) if each[0]["seed"] == SEED]
    rows = [("the preset", records) for _, records in bases]
    kept = runs_of("trials", logs)
    rows += [(f"`{result['flags']}`", records) for result, records in kept]
    longest = max(curve_of(records)[0][-1] for _, records in rows)
    marks = range(EVERY, int(longest) + EVERY, EVERY)
    lines = [" | ".join(["| flags", *(f"{mark // 1000}k" for mark in marks), "end |"])]
    lines += ["| --- " * (len(marks) + 2) + "|"]
    for name, records in rows:
        steps, _, scores = curve_of(records)
        cells = [_at(mark, steps, scores) for mark in marks]
        end = f"{scores[-1]:.1f} at {steps[-1] / 1000:.0f}k"
        lines.append(" | ".join([f"| {name}", *cells, f"{end} |"]))
    return "\n".join(lines) + "\n"


def _at(mark, steps, scores):
    """Returns the last score that is not later than `mark`; "" after the end."""
    before = [score for step, score in zip(steps, scores, strict=True) if step <= mark]
    return "" if steps[-1] < mark - EVERY // 20 else f"{before[-1]:.1f}"


if __name__ == "__main__":
    main()
