"""The plots of `report.py` and `replay_speed.py`. Needs matplotlib."""

import matplotlib
import measured

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

COLORS = {"TensorFlow": "#e8710a", "JAX": "#1f77b4", "PyTorch": "#c0392b"}
GREY = "#7f7f7f"


def draw(folder, results):
    """Draws what there are figures for. Returns the names of the files."""
    drawn = []
    for name, function in (
        ("update.png", update),
        ("replay.png", replay),
        ("loop.png", loop),
        ("scaling.png", scaling),
    ):
        figure = function(results)
        if figure is not None:
            save(figure, folder / name)
            drawn.append(name)
    return drawn


def save(figure, path):
    """Writes a figure and forgets it."""
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def update(results):
    """Bars: the learner's update beside the best native one, per backend."""
    found = list(measured.of_backends(results, "update"))
    if not found:
        return None
    figure, axis = pyplot.subplots(figsize=(7, 3.6))
    for place, (label, result) in enumerate(found):
        updates = {n: f for n, f in result["figures"].items() if "pdate" in n}
        natives = [f["seconds"] for n, f in updates.items() if n.startswith("native")]
        best = min(natives, key=lambda each: each["median"])
        ours = updates["Learner.update"]["seconds"]
        ratio = updates["Learner.update"]["ratio_to_best_native"]["median"]
        _bar(axis, place - 0.2, ours, COLORS[label], 1e3)
        _bar(axis, place + 0.2, best, GREY, 1e3)
        axis.annotate(f"{ratio:.2f}x", (place - 0.2, ours["high"] * 1e3), **_ABOVE)
    axis.set_xticks(range(len(found)), [label for label, _ in found])
    title = "One update: keras_dqn (colour), the best hand-written one (grey)"
    axis.set(ylabel="ms per update of 32", title=title)
    axis.margins(y=0.15)
    return figure


_ABOVE = {
    "xytext": (0, 3),
    "textcoords": "offset points",
    "ha": "center",
    "fontsize": 9,
}


def _bar(axis, place, summary, color, scale=1.0):
    low, median, high = (summary[key] * scale for key in ("low", "median", "high"))
    spread = [[median - low], [high - median]]
    axis.bar(place, median, 0.36, yerr=spread, color=color, capsize=3)


def replay(results):
    """Lines: time per minibatch against the capacity, per size of frame."""
    figures = results.get("replay-speed", {}).get("figures")
    return replay_lines(figures) if figures else None


def replay_lines(figures):
    """As `replay`, for the figures of `replay_speed.py`."""
    figure, axes = pyplot.subplots(1, len(figures), figsize=(10, 4), squeeze=False)
    for axis, (title, by_exponent) in zip(axes[0], figures.items(), strict=True):
        exponents = [int(exponent) for exponent in by_exponent]
        for name in next(iter(by_exponent.values()), {}):
            if "add" in name:
                continue
            quartiles = [_quartiles(e[name]["seconds"]) for e in by_exponent.values()]
            low, median, high = zip(*quartiles, strict=True)
            axis.plot(exponents, median, marker="o", label=name)
            axis.fill_between(exponents, low, high, alpha=0.2)
        axis.set_xticks(exponents, [f"$2^{{{exponent}}}$" for exponent in exponents])
        axis.set(title=title, xlabel="capacity (log scale)", ylim=(0, None))
        axis.set_ylabel("us per minibatch of 32")
        axis.legend()
    return figure


def _quartiles(summary):
    """Microseconds of a `Summary`, or of the dictionary that it becomes as JSON."""
    fields = summary if isinstance(summary, dict) else vars(summary)
    return [fields[key] * 1e6 for key in ("low", "median", "high")]


def loop(results):
    """Bars: agent steps per second of the whole loop, and SB3's in the same run."""
    found = [(label, label, r) for label, r in measured.of_backends(results, "loop")]
    if "loop-tensorflow-mixed" in results:
        mixed = results["loop-tensorflow-mixed"]
        found.insert(1, ("TensorFlow", "TensorFlow,\nbfloat16", mixed))
    if not found:
        return None
    figure, axis = pyplot.subplots(figsize=(7, 3.6))
    for place, (label, _, result) in enumerate(found):
        rates = result["rates"]
        for offset, name in ((-0.2, "keras_dqn"), (0.2, "sb3")):
            if name in rates:
                color = GREY if name == "sb3" else COLORS[label]
                _bar(axis, place + offset, rates[name]["steps_per_second"], color)
        if "ratio" in rates["keras_dqn"]:
            high = rates["keras_dqn"]["steps_per_second"]["high"]
            ratio = rates["keras_dqn"]["ratio"]["median"]
            axis.annotate(f"{ratio:.2f}x", (place - 0.2, high), **_ABOVE)
    axis.set_xticks(range(len(found)), [name for _, name, _ in found])
    title = "Whole loop on Breakout: keras_dqn (colour), SB3's plain DQN (grey)"
    axis.set(ylabel="agent steps/s", title=title)
    axis.margins(y=0.15)
    return figure


def scaling(results):
    """Lines: agent steps per second by K, and by the number of environments."""
    wanted = (("updates per dispatch, K", "k", (1, 2, 4, 8)),)
    wanted += (("environments", "envs", (8, 16, 32)),)
    if not any(measured.scaling_rates(results, p, c) for _, p, c in wanted):
        return None
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.8))
    for axis, (title, prefix, counts) in zip(axes, wanted, strict=True):
        rates = measured.scaling_rates(results, prefix, counts)
        for label, by_count in rates.items():
            medians = [each["median"] for each in by_count.values()]
            spread = [
                [each["median"] - each["low"] for each in by_count.values()],
                [each["high"] - each["median"] for each in by_count.values()],
            ]
            axis.errorbar(
                list(by_count),
                medians,
                spread,
                marker="o",
                capsize=3,
                color=COLORS[label],
                label=label,
            )
        axis.set_xscale("log", base=2)
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.set(xlabel=title, ylabel="agent steps/s", ylim=(0, None))
        if rates:
            axis.legend()
    return figure
