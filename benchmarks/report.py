"""Writes the tables and plots of what `run_all.py` has measured so far.

    python benchmarks/report.py bench

`report.md` has a section for each kind of benchmark whose figures are there. Plots
need matplotlib; without it the report has tables only.
"""

import argparse
import datetime
import pathlib

import measured
import timing


def summary(figures, scale=1.0, digits=2):
    """Returns `median (quartiles)` of a summary that was written as JSON."""
    return timing.Summary(**figures).text(scale, digits)


def update_section(results):
    """Tables of one gradient step, and of Q-values, against native code."""
    rows = []
    for label, result in measured.of_backends(results, "update"):
        for name, each in result["figures"].items():
            ratio = summary(each["ratio_to_best_native"])
            rows.append((label, name, summary(each["seconds"], 1e3), ratio))
    columns = ("backend", "program", "ms (quartiles)", "ratio to best native")
    return [("One update, and Q-values, against hand-written code", columns, rows)]


def replay_section(results):
    """Tables of the replay, one for each size of frame."""
    tables = []
    for size, by_exponent in results.get("replay-speed", {}).get("figures", {}).items():
        rows = []
        for exponent, programs in by_exponent.items():
            for name, each in programs.items():
                ratio = summary(each["ratio"]) if "ratio" in each else "-"
                times = summary(each["seconds"], 1e6, 1)
                rows.append((f"2^{exponent}", name, times, ratio))
        columns = ("capacity", "program", "us (quartiles)", "ratio to cpprb")
        tables.append((f"Replay: draw 32 and write back, {size}", columns, rows))
    return tables


def loop_section(results):
    """Tables of the whole loop against SB3, and of where its time goes."""
    rows, profiles = [], {}
    found = [(label, "", r) for label, r in measured.of_backends(results, "loop")]
    if "loop-tensorflow-mixed" in results:
        found.append(("TensorFlow", " mixed", results["loop-tensorflow-mixed"]))
    for label, mark, result in found:
        policy = result["ours"]["dtype_policy"]
        for name, each in result["rates"].items():
            ratio = summary(each["ratio"]) if "ratio" in each else "-"
            rate = summary(each["steps_per_second"], digits=0)
            rows.append((label, policy if name != "sb3" else "-", name, rate, ratio))
        profiles[label + mark] = result["profile_seconds"]
    columns = ("beside", "policy", "program", "agent steps/s", "ratio to SB3's DQN")
    tables = [("The whole loop on Breakout", columns, rows)]
    sections = list(dict.fromkeys(n for p in profiles.values() for n in p))
    rows = [
        (name, *(_milliseconds(profile, name) for profile in profiles.values()))
        for name in sections
    ]
    title = "Where the milliseconds of an iteration go (medians, timers on)"
    return [*tables, (title, ("section", *profiles), rows)]


def _milliseconds(profile, name):
    return f"{profile[name]['median'] * 1e3:.2f}" if name in profile else "-"


def scaling_section(results):
    """Tables of agent steps per second by K, and by the number of environments."""
    tables = []
    for title, prefix, counts in (
        ("Updates per dispatch, K", "k", (1, 2, 4, 8)),
        ("Environments side by side", "envs", (8, 16, 32)),
    ):
        rates = measured.scaling_rates(results, prefix, counts)
        rows = [
            (label, *(summary(by[c], digits=0) if c in by else "-" for c in counts))
            for label, by in rates.items()
        ]
        columns = ("backend", *(f"{prefix}={count}" for count in counts))
        tables.append((f"{title}: agent steps/s of the whole loop", columns, rows))
    return tables


def memory_section(results):
    """Tables of what a run holds, and of what a full replay does."""
    rows = []
    for label, result in measured.of_backends(results, "memory"):
        numbers = (result[n] / 1e9 for n in ("resident_bytes", "allowed_bytes"))
        slope = f"{result['slope_bytes_per_update'] * 1e4 / 1e6:+.2f}"
        capacity, updates = f"{result['capacity']:,}", f"{result['updates']:,}"
        rows.append((label, capacity, updates, *(f"{x:.3f}" for x in numbers), slope))
    columns = ("backend", "transitions", "updates", "resident GB", "allowed GB")
    columns += ("growth, MB per 10,000 updates",)
    tables = [("Resident memory of a whole run", columns, rows)]
    result = results.get("replay-memory")
    if result is not None:
        rows = [
            (stage, f"{each['bytes'] / 1e9:.3f}", f"{each['peak_bytes'] / 1e9:.3f}")
            for stage, each in result["figures"].items()
            if isinstance(each, dict)
        ]
        title = f"Memory of a replay alone, {result['capacity']:,} transitions"
        tables.append((title, ("after", "GB", "peak GB"), rows))
    return tables


SECTIONS = {
    "Update": (update_section, "update.png"),
    "Replay": (replay_section, "replay.png"),
    "Loop": (loop_section, "loop.png"),
    "Scaling": (scaling_section, "scaling.png"),
    "Memory": (memory_section, None),
}


def other_outputs(folder, results):
    """Yields name and output of every benchmark that no section has a table for."""
    prefixes = ("update-", "replay-", "loop-", "k", "envs", "memory-")
    for name in results:
        if not name.startswith(prefixes):
            yield name, (folder / f"{name}.txt").read_text().strip()


def machines(results):
    """Lines that say where and when the figures were taken."""
    facts = [result["machine"] for result in results.values()]
    versions = {}
    for each in facts:
        versions |= each["versions"]
    dates = sorted(each["date"] for each in facts)
    alike = {
        name: sorted({str(each[name]) for each in facts})
        for name in ("cpu", "cores", "memory_gib", "gpu", "system", "python")
    }
    lines = [f"- {name.replace('_', ' ')}: {', '.join(v)}" for name, v in alike.items()]
    lines.append(f"- measured: {dates[0]} to {dates[-1]}")
    lines.append("- " + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())))
    load = max(each["load_average"] / each["cores"] for each in facts)
    if load > 0.5:
        lines.append(
            f"- **The machine was busy** (load per core up to {load:.1f}): do not "
            "trust times, only ratios."
        )
    return lines


def write(folder):
    """Writes `report.md`, and the plots if matplotlib is there."""
    folder = pathlib.Path(folder)
    results = measured.load(folder)
    if not results:
        print("There are no figures yet.")
        return
    plots = _draw(folder, results)
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    lines = [f"# Benchmarks, {today}", "", *machines(results)]
    lines += ["", "Medians, with quartiles in brackets."]
    for heading, (section, plot) in SECTIONS.items():
        tables = [table for table in section(results) if table[2]]
        if tables:
            lines += ["", f"## {heading}"]
        for title, columns, rows in tables:
            lines += ["", f"{title}:", "", timing.markdown_table(columns, rows)]
        if plot in plots:
            lines += ["", f"![{heading}]({plot})"]
    for name, output in other_outputs(folder, results):
        lines += ["", f"## {name}", "", "```", output, "```"]
    (folder / "report.md").write_text("\n".join(lines) + "\n")
    print(f"Wrote {folder / 'report.md'}" + "".join(f", {plot}" for plot in plots))


def _draw(folder, results):
    try:
        import plots
    except ImportError:
        print("No plots: matplotlib is not installed (`pip install matplotlib`).")
        return []
    return plots.draw(folder, results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="where `run_all.py` left the figures")
    write(parser.parse_args().folder)
