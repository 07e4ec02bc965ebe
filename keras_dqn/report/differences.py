"""How the settings of a run differ from a preset."""

from __future__ import annotations

from typing import Any

from keras_dqn import presets
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError


def changes_from(settings: Settings, name: str) -> dict[str, Any]:
    """Returns the changes that make a preset equal to `settings`.

    A preset scales its schedules to `env_steps`. A schedule that is scaled in this way
    is no change of its own.

    Args:
        settings: `Settings`.
        name: Name of a preset.

    Returns:
        Dictionary from fields to values: `presets.get(name)(**changes)` equals
        `settings`.

    Raises:
        SettingsError: If there is no such preset.
    """
    preset = presets.get(name)
    changes: dict[str, Any] = {}
    found = preset()
    if found.env_steps != settings.env_steps:
        found = _with_env_steps(preset, settings.env_steps)
        changes["env_steps"] = settings.env_steps
    while found != settings:
        changes |= {
            field: getattr(settings, field)
            for field in FIELDS
            if getattr(found, field) != getattr(settings, field)
        }
        found = preset(**changes)
    return {field: changes[field] for field in FIELDS if field in changes}


def nearest_preset(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Returns the preset with the fewest changes, the first of equals.

    Args:
        settings: `Settings`.

    Returns:
        `(name, changes)`, see `changes_from`.
    """
    found = [(name, changes_from(settings, name)) for name in presets.names()]
    return min(found, key=lambda each: len(each[1]))


def _with_env_steps(preset, env_steps):
    """Returns the preset of this length, or the usual one if it is too short."""
    try:
        return preset(env_steps=env_steps)
    except SettingsError:
        return preset()
