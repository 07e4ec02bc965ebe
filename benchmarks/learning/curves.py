"""Draws the learning curves and writes the tables, from the logs that are kept.

    pip install matplotlib
    python benchmarks/learning/curves.py

For each experiment: `curves/<experiment>.png` and `.svg`, the mean score of the last
100 training games against agent steps and against hours, a line for each run. For the
small tasks a picture of all, `curves/small.png` and `.svg`, and one of the ablations,
`curves/ablations.png` and `.svg`. In `README.md` the tables between the markers.
"""

import argparse
import pathlib
import re

import ablations
import matplotlib
import trials
from experiments import EXPERIMENTS
from experiments import SMALL
from logs import curve_of
from logs import runs_of
from logs import table_of

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "keras_dqn"  # equal logs give equal files
from matplotlib import pyplot  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
COLORS = {"tensorflow": "#e8710a", "jax": "#1f77b4", "torch": "#c0392b"}
LABEL = "mean score, last 100 training games"
TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n)(?:\|.*\n)*")


def draw(name, runs, folder):
    """Draws the runs of an experiment against agent steps and hours."""
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    draw_runs(axes[0], runs, 0)
    draw_runs(axes[1], runs, 1)
    axes[0].set(xlabel="agent steps", ylabel=LABEL)
    axes[1].set(xlabel="hours of training")
    figure.suptitle(EXPERIMENTS[name].title)
    save(figure, folder, name)


def draw_small(runs_by_name, folder):
    """Draws the small tasks side by side: the backends' curves should overlap."""
    figure, axes = pyplot.subplots(1, len(runs_by_name), figsize=(12, 3.6))
    for axis, (name, runs) in zip(axes, runs_by_name.items(), strict=True):
        draw_runs(axis, runs, 0)
        axis.set(title=EXPERIMENTS[name].title, xlabel="agent steps")
    axes[0].set(ylabel=LABEL)
    save(figure, folder, "small")


def draw_runs(axis, runs, x):
    """Draws a line for each run, against `x` of `curve_of`: 0 steps, 1 hours."""
    labelled = set()
    for result, records in runs:
        curve, backend = curve_of(records), result["backend"]
        label = None if backend in labelled else backend
        labelled.add(backend)
        axis.plot(curve[x], curve[2], COLORS[backend], lw=1.2, alpha=0.8, label=label)
    if x == 0:
        axis.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axis.legend()
    axis.grid(alpha=0.3)


def save(figure, folder, name):
    """Writes a figure as PNG and SVG."""
    figure.tight_layout()
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=120)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", type=pathlib.Path, default=HERE / "logs")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    arguments = parser.parse_args()
    found = {name: runs_of(name, arguments.logs) for name in EXPERIMENTS}
    found = {name: runs for name, runs in found.items() if runs}
    folder = arguments.out / "curves"
    for name, runs in found.items():
        draw(name, runs, folder)
    small = {name: found[name] for name in SMALL if name in found}
    if len(small) > 1:
        draw_small(small, folder)
    tables = {name: table_of(runs) for name, runs in found.items()}
    rows = ablations.summaries(arguments.logs)
    if rows:
        figure, axis = pyplot.subplots(figsize=(8, 3.6))
        ablations.draw(axis, rows)
        save(figure, folder, "ablations")
        tables["ablations"] = ablations.table_of(rows)
    if runs_of("trials", arguments.logs):
        tables["trials"] = trials.table_of(arguments.logs)
    for name, table in tables.items():
        title = EXPERIMENTS[name].title if name in EXPERIMENTS else name
        print(f"{title}\n\n{table}")
    readme = arguments.out / "README.md"
    if readme.exists():
        text = TABLE.sub(lambda m: m[1] + tables.get(m[2], ""), readme.read_text())
        readme.write_text(text)


if __name__ == "__main__":
    main()
