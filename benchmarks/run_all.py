"""Runs every benchmark that this machine can, and writes one report with plots.

    python benchmarks/run_all.py --out bench

Each benchmark is a process of its own, whose figures and output are kept in the
folder. A run that was broken off goes on where it stopped; `--again` starts anew.
Backends are those installed for this Python; others have their own:

    python benchmarks/run_all.py --out bench \\
        --python tensorflow=/venvs/tf/bin/python --python jax=/venvs/jax/bin/python
"""

import argparse
import dataclasses
import os
import pathlib
import subprocess
import sys
import time

import machine
import report

BACKENDS = ("tensorflow", "jax", "torch")
HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Job:
    """One benchmark: its name in the folder, script, arguments and backend."""

    name: str
    script: str
    words: tuple[str, ...] = ()
    backend: str | None = None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="bench", help="folder of figures and report")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="BACKEND=PATH",
        help="the Python of a backend (repeatable); default: this one, for those "
        "that it has",
    )
    parser.add_argument("--cache", help="folder for the peers' environments")
    parser.add_argument("--only", nargs="+", metavar="PREFIX", help="names begin so")
    parser.add_argument("--no-peers", action="store_true", help="install nothing")
    parser.add_argument("--list", action="store_true", help="say what would run, end")
    parser.add_argument("--again", action="store_true", help="forget earlier figures")
    parser.add_argument("--quick", action="store_true", help="minutes: does it run?")
    return parser.parse_args()


def pythons_of(choices):
    """Returns the Python to use for each backend that there is one for.

    Args:
        choices: List of strings `"backend=path"`.
    """
    chosen = dict(choice.partition("=")[::2] for choice in choices)
    unknown = sorted(set(chosen) - set(BACKENDS))
    if unknown:
        raise SystemExit(f"`--python` must name one of {BACKENDS}. Received: {unknown}")
    return chosen or {b: sys.executable for b in BACKENDS if _has(sys.executable, b)}


def _has(python, package):
    code = "import importlib.util as u, sys; sys.exit(not u.find_spec(sys.argv[1]))"
    return subprocess.run([python, "-c", code, package], check=False).returncode == 0


def jobs(backends, arguments):
    """Returns all that can be run, in the order in which it is."""
    cache = ("--cache", arguments.cache) if arguments.cache else ()
    cpprb, sb3 = (
        () if arguments.no_peers else ("--peer", name, *cache)
        for name in ("cpprb", "sb3")
    )
    found = [Job(f"update-{b}", "update.py", (), b) for b in backends]
    found.append(Job("replay-speed", "replay_speed.py", cpprb))
    for backend in backends:
        found.append(Job(f"loop-{backend}", "loop.py", sb3, backend))
    if "tensorflow" in backends:
        words = ("--dtype-policy", "mixed_bfloat16", *sb3)
        found.append(Job("loop-tensorflow-mixed", "loop.py", words, "tensorflow"))
    for backend in backends:
        for count in (1, 2, 4, 8):
            words = ("--updates-per-dispatch", str(count))
            found.append(Job(f"k{count}-{backend}", "loop.py", words, backend))
        for count in (16, 32):  # of 8 there are figures: K = 1
            words = ("--num-envs", str(count))
            found.append(Job(f"envs{count}-{backend}", "loop.py", words, backend))
        found.append(Job(f"memory-{backend}", "run_memory.py", (), backend))
        found.append(Job(f"precision-{backend}", "precision.py", (), backend))
        found.append(Job(f"checks-{backend}", "checks.py", (), backend))
    words = ("--frames", "synthetic")
    found.append(Job("replay-memory", "replay_memory.py", words))
    found.append(Job("checkpoint", "checkpoint.py"))
    found.append(Job("tree-drift", "tree_drift.py"))
    if arguments.only:
        found = [job for job in found if job.name.startswith(tuple(arguments.only))]
    return found


def run(job, pythons, folder, quick):
    """Runs one benchmark. Returns whether it has left its figures."""
    python = pythons[job.backend] if job.backend else sys.executable
    figures = folder / f"{job.name}.json"
    words = [*job.words, "--json", str(figures), *(["--quick"] if quick else [])]
    environment = dict(os.environ)
    if job.backend:
        environment["KERAS_BACKEND"] = job.backend
    with open(folder / f"{job.name}.txt", "w") as output:
        done = subprocess.run(
            [python, str(HERE / job.script), *words],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        figures.unlink(missing_ok=True)
    return figures.exists()


def main():
    arguments = parse_arguments()
    folder = pathlib.Path(arguments.out)
    pythons = pythons_of(arguments.python)
    todo = jobs(tuple(pythons), arguments)
    if arguments.list:
        for job in todo:
            print(job.name, job.script, *job.words)
        return
    folder.mkdir(parents=True, exist_ok=True)
    machine.print_description()
    failed = []
    for number, job in enumerate(todo, 1):
        if arguments.again:
            (folder / f"{job.name}.json").unlink(missing_ok=True)
        print(f"[{number}/{len(todo)}] {job.name} ...", end=" ", flush=True)
        if (folder / f"{job.name}.json").exists():
            print("has its figures")
            continue
        started = time.monotonic()
        is_done = run(job, pythons, folder, arguments.quick)
        print(f"{time.monotonic() - started:.0f} s" if is_done else "FAILED")
        if not is_done:
            failed.append(job.name)
            print(f"    see {folder / job.name}.txt")
    report.write(folder)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
