"""The memory that this process may still allocate.

The operating system provides memory only when it is first written to. A replay that is
too large would be allocated without an error, and the process would be killed hours
later. So the replay's size is checked first.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

GIB = 2**30


def check_fits(nbytes: int, what: str, available: int | None = None) -> None:
    """Raises `MemoryError` if `nbytes` more bytes do not fit into memory.

    Args:
        nbytes: Integer, the bytes needed.
        what: String, what needs the memory, for the message.
        available: Integer, the bytes available. Default: `available_bytes()`. If that
            is `None`, nothing is checked.

    Raises:
        MemoryError: The message has the memory needed and available, in GiB.
    """
    if available is None:
        available = available_bytes()
    if available is not None and nbytes > available:
        raise MemoryError(
            f"{what} needs {nbytes / GIB:.2f} GiB of memory, "
            f"but only {available / GIB:.2f} GiB are available."
        )


def available_bytes(root: str | os.PathLike[str] = "/") -> int | None:
    """Returns how many more bytes this process may allocate, or `None` if unknown.

    It is the smallest remainder of three limits: the machine's memory, the control
    group (a container's limit) and the address space (`ulimit -v`). Unknown limits are
    ignored.

    Args:
        root: Path of the directory with `proc` and `sys`.
    """
    root = pathlib.Path(root)
    limits = [_machine(root), _control_group(root), _address_space(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _machine(root):
    """Returns `MemAvailable` of the machine in bytes, or `None`."""
    kibibytes = _read_table(root / "proc/meminfo").get("MemAvailable")
    return None if kibibytes is None else kibibytes * 1024


def _control_group(root):
    """Returns the bytes left in the process's control group and its parents."""
    remaining = []
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2: `0::/a/b`
            mount, files = "sys/fs/cgroup", ("memory.max", "memory.current")
            reclaimable = "inactive_file"
        elif "memory" in controllers.split(","):  # version 1: `4:memory:/a/b`
            mount = "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            reclaimable = "total_inactive_file"
        else:
            continue
        path = pathlib.PurePosixPath(group.lstrip("/"))
        # In a container, the path may be the host's. Then only the mount point exists.
        for part in (path, *path.parents):
            folder = root / mount / part
            limit, usage = (_read_number(folder / name) for name in files)
            if limit is not None and usage is not None:
                cache = _read_table(folder / "memory.stat").get(reclaimable, 0)
                remaining.append(max(0, limit - max(0, usage - cache)))
    return min(remaining, default=None)


def _address_space(root):
    """Returns the bytes left of `RLIMIT_AS`, or `None` without a limit."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _read_table(root / "proc/self/status").get("VmSize")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return max(0, limit - used * 1024)


def _read_text(path):
    """Returns the file's text, or "" if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _read_number(path):
    """Returns the integer in the file, or `None`, as for "max" (no limit)."""
    text = _read_text(path).strip()
    return int(text) if text.isdigit() else None


def _read_table(path):
    """Returns the file's lines "name: number" or "name number" as a dictionary."""
    table = {}
    for line in _read_text(path).splitlines():
        name, _, rest = line.replace(":", " ", 1).partition(" ")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            table[name] = int(number[0])
    return table


def retain_freed_memory() -> None:
    """Lets the process keep up to about 64 MB of freed memory.

    The GNU C library returns memory to the system if more is free than twice the
    largest block freed so far. A gradient step frees megabytes in many small blocks,
    and would have to get zeroed pages from the system again, which takes a quarter of
    its time on PyTorch. So one large block is allocated and freed first. With other C
    libraries, or if a `MALLOC_` variable is set, this has no effect.
    """
    np.empty(31 * 2**20, np.uint8)  # blocks above 32 MiB do not count
