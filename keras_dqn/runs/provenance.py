"""What a run was made with, and whether it goes on exactly.

A checkpoint says what it was made with: versions, backend, device, threads, ROM.
Where any of that differs when the run goes on, it is the same run by its
settings, weights and replay, and yet not by its rounding; so it is warned of, and
every later checkpoint says since when the run is not exact, and why.
"""

import os
import platform

from keras_dqn.config import Settings
from keras_dqn.system.cpus import usable_cpus

# What a resumed run may change. Anything else would make it another run.
CHANGEABLE = frozenset(
    {
        "env_steps",
        "log_interval_iterations",
        "checkpoint_interval_minutes",
        "evaluation_episodes",
        "evaluation_epsilon",
        "evaluation_interval_iterations",
        "stop_at_score",
        "env_timeout_seconds",
    }
)
# These decide how frameworks round, or how many threads share a sum.
FLAGS: tuple[str, ...]
FLAGS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS")
FLAGS += ("MKL_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS")
FLAGS += ("JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64")
FLAGS += ("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")


def facts(info):
    """Returns what a run is made with, as values that JSON can hold.

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


def differences(saved, now):
    """Returns what differs between two `facts`, each as "name: old -> new"."""
    if not saved:
        return ["what the checkpoint was made with is not known"]
    names = sorted(saved.keys() | now.keys())
    return [
        f"{name}: {saved.get(name)} -> {now.get(name)}"
        for name in names
        if saved.get(name) != now.get(name)
    ]


def changed_settings(saved, now):
    """Returns the settings that differ and may not, each as "name: old -> new".

    Args:
        saved: `Settings`, or what its `to_dict` returned, of the run so far.
        now: `Settings`, with which it is to go on.
    """
    old = saved if isinstance(saved, Settings) else Settings.from_dict(saved)
    old, new = old.to_dict(), now.to_dict()
    return [
        f"{name}: {old[name]} -> {new[name]}"
        for name in old
        if old[name] != new[name] and name not in CHANGEABLE
    ]


class Provenance:
    """What a run is made with, and since when it is not exact, if it is not.

    Exact: as if it had never stopped, to the bit.

    Args:
        made_with: Dictionary, see `facts`.

    Attributes:
        inexact_because: List of strings, one for each reason, oldest first.
    """

    def __init__(self, made_with):
        self.made_with = made_with
        self.inexact_because = []

    def to_meta(self, is_due):
        """Returns what a checkpoint says of going on from it.

        Args:
            is_due: Boolean, whether the games are started anew there in a run
                that does not stop, too.
        """
        return {
            "exact": bool(is_due and not self.inexact_because),
            "inexact_because": list(self.inexact_because),
            "made_with": self.made_with,
        }

    def check(self, meta, settings, exact=False):
        """Refuses to go on from a checkpoint of what would be another run.

        Args:
            meta: Dictionary, the checkpoint's.
            settings: `Settings`, with which the run is to go on.
            exact: Boolean, whether anything that may round differently is
                refused as well.

        Raises:
            ValueError: With all that differs.
        """
        saved = meta.get("made_with") or {}
        changed = changed_settings(meta["settings"], settings)
        if changed:
            raise ValueError(
                "The checkpoint must be of a run with these settings. "
                f"Received: {', '.join(changed)}"
            )
        old, new = saved.get("rom_md5"), self.made_with.get("rom_md5")
        if old is not None and old != new:
            raise ValueError(
                "The game's ROM must be the one that the run was played with. "
                f"Received: rom_md5={new}, in the checkpoint {old}"
            )
        changed = differences(saved, self.made_with)
        if exact and changed:
            raise ValueError(
                "An exact resume needs what the checkpoint was made with. "
                f"Received: {'; '.join(changed)}"
            )

    def resume(self, meta, is_due, env_steps):
        """Takes over a checkpoint's past. Returns what there is to say of it.

        Args:
            meta: Dictionary, the checkpoint's.
            is_due: Boolean, see `to_meta`.
            env_steps: Integer, agent steps at which the run goes on.

        Returns:
            List of strings, empty if the run goes on exactly.

        Raises:
            ValueError: If `meta` has no list of reasons in its place.
        """
        notes, before = [], meta.get("inexact_because", [])
        if not isinstance(before, list) or not all(isinstance(x, str) for x in before):
            raise ValueError(
                "`inexact_because` must be a list of reasons. "
                f"Received: inexact_because={before!r:.100}"
            )
        reasons = differences(meta.get("made_with"), self.made_with)
        if reasons:
            notes.append(
                "The run goes on, but not exactly as if it had never stopped. "
                f"This has changed: {'; '.join(reasons)}"
            )
        if not is_due:
            reasons.append("between two due checkpoints")
            notes.append(
                "It was saved between two due checkpoints: the games start anew, "
                "so the run goes on, but not exactly as if it had never stopped"
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
