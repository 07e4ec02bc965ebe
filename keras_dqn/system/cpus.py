"""The number of CPUs that this process may use.

In a container, an affinity mask or a cgroup quota may allow fewer CPUs than the machine
has. More threads than that would only slow each other down.
"""

from __future__ import annotations

import os
import pathlib


def usable_cpus(cgroup: str | os.PathLike[str] = "/sys/fs/cgroup") -> int:
    """Returns the number of CPUs that the process may use, at least 1.

    Args:
        cgroup: Path of the folder with `cpu.max` (version 2), or with
            `cpu/cpu.cfs_quota_us` and `cpu/cpu.cfs_period_us` (version 1). Without
            these files there is no quota.

    Returns:
        Integer: the smaller of the affinity mask's size and the quota, which is
        rounded down.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return max(1, min(cpus, _quota(pathlib.Path(cgroup), default=cpus)))


def _quota(cgroup, default):
    """Returns the number of CPUs that the cgroup's quota allows, rounded down."""
    version1 = cgroup / "cpu"
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (version1 / "cpu.cfs_quota_us").read_text()
            period = (version1 / "cpu.cfs_period_us").read_text()
        quota, period = int(quota), int(period)
    except (OSError, ValueError):  # no such file, or "max": no limit
        return default
    return quota // period if quota > 0 and period > 0 else default
