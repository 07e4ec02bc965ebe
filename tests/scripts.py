"""Runs the scripts of `benchmarks/`, and reads the tables that they print."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"


def run_script(name, *words):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, str(FOLDER / name), *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=500,
    )


def quick_result(name, tmp_path, *words):
    """Runs a script with `--quick`. Returns what it printed, and its figures."""
    path = tmp_path / "result.json"
    done = run_script(name, "--quick", "--json", path, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, json.loads(path.read_text())


def table_rows(text, first_column):
    """Returns the rows of the table whose first column has this heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {first_column} "):
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[1:]
