"""Table and picture of the ablations: one part changed at a time, several seeds each.

`curves.py` calls this. Two numbers are taken from each run: the mean score of all its
training games, which is higher the earlier it learns, and the agent steps after which
the last 100 games had a mean of 0.5.
"""

import math
import statistics

from experiments import ABLATIONS
from logs import duration
from logs import runs_of

GOAL, GAMES = 0.5, 100
# Quantiles of Student's t for 95 % intervals, by the number of seeds.
T_QUANTILES = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}


def numbers_of(records):
    """Returns the mean score of all training games, and the steps to the goal.

    The steps are `None` if the goal was not reached.
    """
    games = [(r["env_steps"], r["score"]) for r in records if r["type"] == "episode"]
    scores = [score for _, score in games]
    total, reached = 0.0, None
    for number, (env_steps, score) in enumerate(games):
        total += score - (scores[number - GAMES] if number >= GAMES else 0.0)
        if reached is None and number + 1 >= GAMES and total / GAMES >= GOAL:
            reached = env_steps
    return statistics.fmean(scores), reached


def interval(values):
    """Returns the mean and half the width of its 95 % interval over seeds."""
    half = T_QUANTILES[len(values)] * statistics.stdev(values)
    return statistics.fmean(values), half / math.sqrt(len(values))


def summaries(logs):
    """Returns a dictionary for each ablation that has at least two runs, in order."""
    found = []
    for name, experiment in ABLATIONS.items():
        runs = runs_of(name, logs)
        if len(runs) < 2:
            continue
        means, steps = zip(*(numbers_of(records) for _, records in runs), strict=True)
        found.append(
            {
                "title": experiment.title,
                "means": means,
                "steps": steps,
                "finals": [result["evaluations"][0]["mean"] for result, _ in runs],
                "hours": [result["training"]["hours"] for result, _ in runs],
            }
        )
    return found


def table_of(rows):
    """Returns a Markdown table with a row for each ablation."""
    head = ["part", "seeds", "mean score of all training games", "agent steps to 0.5"]
    head += ["final network, 100 greedy games", "time of a run"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        mean, half = interval(row["means"])
        final, final_half = interval(row["finals"])
        lines.append(
            [
                row["title"],
                str(len(row["means"])),
                f"**{mean:.3f}** ({mean - half:.3f} to {mean + half:.3f})",
                steps_text(row["steps"]),
                f"{final:.2f} ({final - final_half:.2f} to {final + final_half:.2f})",
                duration(statistics.median(row["hours"])),
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def steps_text(steps):
    """Returns the median and range of the steps, and how often there were none."""
    reached = [count for count in steps if count is not None]
    if not reached:
        return "never"
    text = f"{statistics.median(reached):,.0f} ({min(reached):,} to {max(reached):,})"
    missed = len(steps) - len(reached)
    return f"{text}, {missed} never" if missed else text


def draw(axis, rows):
    """Draws each run as a dot, and the interval of each ablation."""
    low, high = (
        interval(rows[0]["means"])[0] + side * interval(rows[0]["means"])[1]
        for side in (-1, 1)
    )
    axis.axvspan(low, high, color="#1f77b4", alpha=0.12, lw=0)
    for number, row in enumerate(rows):
        mean, half = interval(row["means"])
        axis.errorbar(mean, number, xerr=half, fmt="s", color="#1f77b4", capsize=4)
        axis.plot(row["means"], [number + 0.2] * len(row["means"]), ".", color="#888")
    axis.set_yticks(range(len(rows)), [row["title"] for row in rows])
    axis.invert_yaxis()
    axis.grid(alpha=0.3, axis="x")
    axis.set(xlabel="mean score of all training games (dots: seeds; bars: 95 %)")
