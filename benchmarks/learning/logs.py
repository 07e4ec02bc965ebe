"""The logs of runs: what is kept of them, and what is read out of them.

A kept run is `logs/<experiment>/<backend>-seed<seed>.json`, its result, and
`.jsonl.gz` beside it, its `metrics.jsonl` with fewer lines and digits.
"""

import gzip
import json
import pathlib

MOST_LINES = 1_000  # of type "metrics"; the episodes are all kept


def lines_of(path):
    """Returns the records of a run's log."""
    with open(path) as file:
        return [json.loads(line) for line in file]


def training_of(path):
    """Returns steps, hours and the last 100 games of a training, from its log."""
    lines = lines_of(path)
    metrics = [line for line in lines if line["type"] == "metrics"]
    scores = [line["score"] for line in lines if line["type"] == "episode"]
    last = scores[-100:]
    return {
        "env_steps": metrics[-1]["env_steps"],
        "updates": metrics[-1]["updates"],
        "hours": hours_of(metrics)[-1],
        "episodes": len(scores),
        "last_100_mean": sum(last) / len(last),
    }


def hours_of(metrics):
    """Returns the hours of training after each line, by its steps and their rate."""
    hours, steps, total = [], 0, 0.0
    for line in metrics:
        rate = line["env_steps_per_second"]
        if rate:
            total += (line["env_steps"] - steps) / rate / 3600.0
        steps = line["env_steps"]
        hours.append(total)
    return hours


def keep(out, path, result):
    """Writes the log, thinned and compressed, and the result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = lines_of(out / "metrics.jsonl")
    metrics = [line for line in lines if line["type"] == "metrics"]
    for line, hours in zip(metrics, hours_of(metrics), strict=True):
        line["hours"] = hours  # of the whole log: rates of lines left out count
    every = -(-len(metrics) // MOST_LINES)
    kept = {id(line) for line in metrics[::every]} | {id(metrics[-1])}
    lines = [x for x in lines if x["type"] != "metrics" or id(x) in kept]
    data = "".join(json.dumps(rounded(line)) + "\n" for line in lines)
    with gzip.GzipFile(f"{path}.jsonl.gz", "wb", mtime=0) as file:
        file.write(data.encode())
    text = json.dumps(result, indent=1) + "\n"
    pathlib.Path(f"{path}.json").write_text(text)
    print(f"Kept {path}.json and {path}.jsonl.gz")


def rounded(line):
    """Returns a record with five digits of each float but the time."""
    return {
        name: float(f"{value:.5g}")
        if isinstance(value, float) and name != "time"
        else value
        for name, value in line.items()
    }


def runs_of(experiment, logs):
    """Returns `(result, records)` of each kept run of an experiment, in order."""
    found = []
    for path in sorted((pathlib.Path(logs) / experiment).glob("*.json")):
        with gzip.open(path.with_suffix(".jsonl.gz"), "rt") as file:
            records = [json.loads(line) for line in file]
        found.append((json.loads(path.read_text()), records))
    return found


def curve_of(records):
    """Returns agent steps, hours and mean scores, where there is a score.

    The mean is of the last 100 training games, as the run logged it.
    """
    points = [
        (record["env_steps"], record["hours"], record["score_mean"])
        for record in records
        if record["type"] == "metrics" and record["score_mean"] is not None
    ]
    return tuple(zip(*points, strict=True))


def table_of(runs):
    """Returns a Markdown table with a row for each run."""
    evaluations = runs[0][0]["evaluations"]
    head = ["backend", "seed", "agent steps", "time", "last 100 training games"]
    head += [
        f"final network, {len(each['scores'])} games, epsilon {each['epsilon']:g}"
        for each in evaluations
    ]
    rows = [head, ["---"] * len(head)]
    for result, _ in runs:
        training = result["training"]
        row = [
            result["backend"],
            str(result["seed"]),
            f"{training['env_steps']:,}",
            duration(training["hours"]),
            f"{training['last_100_mean']:.2f}",
        ]
        for each in result["evaluations"]:
            low, high = each["interval_95"]
            row.append(f"**{each['mean']:.2f}** ({low:.2f} to {high:.2f})")
        rows.append(row)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def duration(hours):
    """Returns hours as text, short ones in minutes."""
    return f"{hours:.2f} h" if hours >= 1.0 else f"{60.0 * hours:.1f} min"
