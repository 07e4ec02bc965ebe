"""Describes the machine and the versions that a benchmark ran with.

`python benchmarks/machine.py` prints it; every benchmark prints it first.
"""

import contextlib
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess

PACKAGES = (
    "keras_dqn",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "gymnasium",
    "ale-py",
)


def describe(packages=PACKAGES):
    """Returns a dictionary of strings and numbers, ready for JSON."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        # Above the number of cores, something else is running: times are too long.
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": versions(packages),
    }


def versions(packages):
    """Returns the versions of those packages that are installed."""
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def usable_cores():
    """Returns the number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def print_description(description=None):
    """Prints the description, and a warning if the machine is busy."""
    description = describe() if description is None else description
    for name, value in description.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {version}" for key, version in value.items())
        print(f"{name.replace('_', ' '):>12}  {value}")
    if description["load_average"] > 0.5 * description["cores"]:
        print("     warning  The machine is busy: do not trust times, only ratios.")
    print(flush=True)


def _cpu_model():
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory_bytes():
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _gpu():
    if shutil.which("nvidia-smi") is None:
        return "none"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return "; ".join(answer.stdout.split("\n")).strip("; ") or "none"


def _text(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    print_description()
