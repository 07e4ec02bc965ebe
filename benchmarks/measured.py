"""The figures that `run_all.py` has measured, for `report.py` and `plots.py`."""

import json
import pathlib

LABELS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def load(folder):
    """Returns the figures of every benchmark in the folder, by name."""
    return {
        path.stem: json.loads(path.read_text())
        for path in sorted(pathlib.Path(folder).glob("*.json"))
    }


def of_backends(results, prefix):
    """Yields label and figures of `prefix-backend`, in a fixed order."""
    for backend, label in LABELS.items():
        if f"{prefix}-{backend}" in results:
            yield label, results[f"{prefix}-{backend}"]


def scaling_rates(results, prefix, counts):
    """Returns, by backend, summaries of agent steps per second by count."""
    rates = {}
    for count in counts:
        name = "k1" if (prefix, count) == ("envs", 8) else f"{prefix}{count}"
        for label, result in of_backends(results, name):
            rate = result["rates"]["keras_dqn"]["steps_per_second"]
            rates.setdefault(label, {})[count] = rate
    return rates
