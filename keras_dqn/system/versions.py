"""The versions of what a run depends on."""

from __future__ import annotations

import contextlib
import importlib.metadata

import keras_dqn


def versions() -> dict[str, str]:
    """Returns the version of each package that is installed, by name."""
    found = {"keras_dqn": keras_dqn.__version__}
    for name in ("keras", "numpy", "gymnasium", "ale-py"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
