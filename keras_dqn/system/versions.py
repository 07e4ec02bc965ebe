"""The versions of the packages that a run depends on."""

from __future__ import annotations

import contextlib
import importlib.metadata

import keras_dqn


def versions() -> dict[str, str]:
    """Returns the versions of the installed packages, by name."""
    found = {"keras_dqn": keras_dqn.__version__}
    for name in ("keras", "numpy", "gymnasium", "ale-py"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
