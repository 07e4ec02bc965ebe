"""How much memory this process may still allocate.

The system hands out memory when it is first written. A replay that is too large would
be allocated without an error, and the process killed hours later, when it is nearly
full. So its size is checked before.
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
        what: String, what needs them, for the message.
        available: Optional integer, the bytes available. Default:
            `available_bytes()`. Where that is `None`, nothing is refused.

    Raises:
        MemoryError: With the memory needed and available, in GiB.
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

    The least of what is left of the machine's memory, of the control group's (a
    container's limit) and of the address space (`ulimit -v`). A limit that the
    system does not tell is left out.

    Args:
        root: Path of the directory with `proc` and `sys`.
    """
    root = pathlib.Path(root)
    limits = [_machine(root), _control_group(root), _address_space(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _machine(root):
    """`MemAvailable` of the machine."""
    kibibytes = _table(root / "proc/meminfo").get("MemAvailable")
    return None if kibibytes is None else kibibytes * 1024


def _control_group(root):
    """What is left in the process's control group and those above it: the least."""
    rests = []
    for line in _text(root / "proc/self/cgroup").splitlines():
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
        # In a container the path may be that of the host: then only the mount exists.
        for part in (path, *path.parents):
            folder = root / mount / part
            limit, usage = (_number(folder / name) for name in files)
            if limit is not None and usage is not None:
                cache = _table(folder / "memory.stat").get(reclaimable, 0)
                rests.append(max(0, limit - max(0, usage - cache)))
    return min(rests, default=None)


def _address_space(root):
    """What `RLIMIT_AS` leaves beyond the address space in use."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _table(root / "proc/self/status").get("VmSize")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return max(0, limit - used * 1024)


def _text(path):
    """The file's text, or "" if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path):
    """The number in the file, or `None` if there is none, as in "max" (no limit)."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _table(path):
    """The file's lines `name: number ...` or `name number` as a dictionary."""
    table = {}
    for line in _text(path).splitlines():
        name, _, rest = line.replace(":", " ", 1).partition(" ")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            table[name] = int(number[0])
    return table


def retain_freed_memory() -> None:
    """Lets the process keep up to some 64 MB of freed memory for its next step.

    The GNU C library returns memory to the system once more of it is free than twice
    the largest block freed so far. A gradient step frees megabytes in many small
    blocks. Without one large block before it, each step would get its pages from the
    system again, zeroed: a quarter of a step's time on PyTorch. With another C
    library, or with `MALLOC_` variables set, this has no effect.
    """
    np.empty(31 * 2**20, np.uint8)  # 32 MiB is the largest that counts
