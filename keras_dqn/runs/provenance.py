"""Versions and hardware of a run, and whether it was resumed exactly.

A checkpoint records versions, backend, device, threads and ROM. If any of these differ
in a resume, weights and replay are restored, but later results are rounded differently.
The difference is logged, and every later checkpoint records when and why the run
became inexact.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.monitor import RunInfo
from keras_dqn.system.cpus import usable_cpus

# Settings that may be changed in a resume.
CHANGEABLE = frozenset(
    {
        "env_steps",
        "log_interval_iterations",
        "checkpoint_interval_minutes",
        "evaluation_episodes",
        "evaluation_epsilon",
        "evaluation_interval_iterations",
        "evaluation_interval_minutes",
        "stop_at_score",
        "env_timeout_seconds",
    }
)
# Environment variables on which rounding and the order of sums depend.
FLAGS: tuple[str, ...]
FLAGS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS")
FLAGS += ("MKL_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS")
FLAGS += ("JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64")
FLAGS += ("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")


def facts(info: RunInfo) -> dict[str, Any]:
    """Returns versions, hardware and ROM of a run, as JSON values.

    Args:
        info: `monitor.RunInfo` of the run.

    Returns:
        Dictionary from names to strings and integers.
    """
    versions = {f"version of {name}": text for name, text in info.versions.items()}
    flags = {name: os.environ[name] for name in FLAGS if name in os.environ}
    return {
        "backend": info.backend,
        "device": info.device,
        "machine": f"{platform.system()} {platform.machine()}, {_cpu_model()}",
        "version of Python": platform.python_version(),
        **versions,
        "usable CPUs": usable_cpus(),
        **flags,
        "rom_md5": info.env_options.get("rom_md5"),
    }


def differences(saved: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """Returns what differs between two `facts`, each as "name: old -> new"."""
    if not saved:
        return ["the checkpoint has no record of versions and hardware"]
    names = sorted(saved.keys() | now.keys())
    return [
        f"{name}: {saved.get(name)} -> {now.get(name)}"
        for name in names
        if saved.get(name) != now.get(name)
    ]


def changed_settings(saved: Settings | dict[str, Any], now: Settings) -> list[str]:
    """Returns changed settings that are not `CHANGEABLE`, as "name: old -> new".

    Args:
        saved: `Settings`, or what its `to_dict` returned, of the run so far.
        now: `Settings` with which it is to be resumed.
    """
    if not isinstance(saved, Settings):
        saved = Settings.from_dict(saved)
    old, new = saved.to_dict(), now.to_dict()
    return [
        f"{name}: {old[name]} -> {new[name]}"
        for name in old
        if old[name] != new[name] and name not in CHANGEABLE
    ]


def check_used(wanted: Settings, used: Mapping[str, Any]) -> None:
    """Checks that a program has used the settings of its run.

    Args:
        wanted: `Settings` of the run.
        used: Those of the program's environments and agent, by name.

    Raises:
        SettingsError: If they differ.
    """
    for name, real in used.items():
        asked = getattr(wanted, name)
        # `envs` replaces the id by a full one, and `None` by the game's own value.
        if real != asked and asked is not None and name != "env_id":
            raise SettingsError(
                f"`{name}` cannot be changed in this program, which uses {real!r}. "
                f"Use `keras-dqn train`. Received: {name}={asked!r}",
                name,
            )


class Provenance:
    """Versions and hardware of a run, and why it is not exact, if it is not.

    Exact means: bit-identical to a run that never stopped.

    Args:
        made_with: Dictionary, see `facts`.

    Attributes:
        inexact_because: List of strings, the reasons why the run is not exact, oldest
            first. Empty if it is exact.
    """

    def __init__(self, made_with: Mapping[str, Any]) -> None:
        self.made_with = made_with
        self.inexact_because: list[str] = []

    def to_meta(self, is_due: bool) -> dict[str, Any]:
        """Returns what a checkpoint records about resuming from it.

        Args:
            is_due: Boolean, whether the checkpoint is a scheduled one, at which a run
                that does not stop restarts its games, too.
        """
        return {
            "exact": bool(is_due and not self.inexact_because),
            "inexact_because": list(self.inexact_because),
            "made_with": self.made_with,
        }

    def check(
        self, meta: Mapping[str, Any], settings: Settings, exact: bool = False
    ) -> None:
        """Checks that a checkpoint has the same settings and ROM.

        Args:
            meta: Dictionary of the checkpoint.
            settings: `Settings` with which the run is to be resumed.
            exact: Boolean, whether everything else in `facts` must be the same, too.

        Raises:
            ValueError: With a list of all differences.
        """
        saved = meta.get("made_with") or {}
        changed = changed_settings(meta["settings"], settings)
        if changed:
            raise ValueError(
                "The checkpoint is from a run with other settings. "
                f"Received: {', '.join(changed)}"
            )
        old, new = saved.get("rom_md5"), self.made_with.get("rom_md5")
        if old is not None and old != new:
            raise ValueError(
                "The game's ROM must be the same as in the checkpoint. "
                f"Received: rom_md5={new}, in the checkpoint {old}"
            )
        changed = differences(saved, self.made_with)
        if exact and changed:
            raise ValueError(
                "An exact resume needs the same versions and hardware as the "
                f"checkpoint. Differences: {'; '.join(changed)}"
            )

    def resume(
        self, meta: Mapping[str, Any], is_due: bool, env_steps: int
    ) -> list[str]:
        """Loads the reasons from a checkpoint, and adds those of this resume.

        Args:
            meta: Dictionary of the checkpoint.
            is_due: Boolean, see `to_meta`.
            env_steps: Integer, agent steps at which the run is resumed.

        Returns:
            List of strings to log, empty if the resume is exact.

        Raises:
            ValueError: If `inexact_because` is not a list of strings.
        """
        notes, before = [], meta.get("inexact_because", [])
        if not isinstance(before, list) or not all(isinstance(x, str) for x in before):
            raise ValueError(
                "`inexact_because` must be a list of strings. "
                f"Received: inexact_because={before!r:.100}"
            )
        reasons = differences(meta.get("made_with"), self.made_with)
        if reasons:
            notes.append(
                "The run continues, but not exactly as if it had never stopped. "
                f"Changed: {'; '.join(reasons)}"
            )
        if not is_due:
            reasons.append("between two scheduled checkpoints")
            notes.append(
                "It was saved between two scheduled checkpoints. All games are "
                "restarted, so the run continues, but not exactly as if it had never "
                "stopped"
            )
        if before:
            notes.append(f"The run is not exact since it was {before[0]}")
        at = f"resumed at {env_steps} agent steps"
        self.inexact_because = before + [f"{at}, {reason}" for reason in reasons]
        return notes


def _cpu_model():
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return lines[0].partition(":")[2].strip() if lines else platform.processor()
