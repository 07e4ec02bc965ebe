"""How much memory this process may still take, asked before a replay is allocated.

A replay fills over hours. Without a check, one that is too large would be
allocated without complaint and the process killed overnight, without a message.
"""

import pathlib

import numpy as np

GIB = 2**30


def check_fits(nbytes, what, available=None):
    """Raises `MemoryError` if `nbytes` more bytes do not fit into memory.

    Args:
        nbytes: Integer. Bytes needed.
        what: String, what needs them: the subject of the message.
        available: Optional integer, bytes. By default what `available_bytes()`
            says. Where that is unknown (`None`) nothing is refused.

    Raises:
        MemoryError: With what is needed and what is available, in GiB.
    """
    if available is None:
        available = available_bytes()
    if available is not None and nbytes > available:
        raise MemoryError(
            f"{what} needs {nbytes / GIB:.2f} GiB of memory, "
            f"but only {available / GIB:.2f} GiB are available."
        )


def available_bytes(root="/"):
    """Returns how many more bytes this process may use, or `None` if unknown.

    The smallest of three: what the machine has left, what the process's control
    group (a container's limit) has left, and what its address space has left
    (`ulimit -v`). Each counts only where the system tells it.

    Args:
        root: Path under which `proc` and `sys` are looked for.
    """
    root = pathlib.Path(root)
    limits = [_machine(root), _control_group(root), _address_space(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _machine(root):
    """`MemAvailable` of the machine."""
    kibibytes = _table(root / "proc/meminfo").get("MemAvailable")
    return None if kibibytes is None else kibibytes * 1024


def _control_group(root):
    """The smallest rest among the process's control group and those above it."""
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
        # Inside a container the path may be the host's: then only the mount exists.
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
        import resource  # not on every system
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _table(root / "proc/self/status").get("VmSize")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return max(0, limit - used * 1024)


def _text(path):
    """The file's text, or "" where there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path):
    """The number in the file, or `None`: no such file, or "max", no limit."""
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


def keep_freed():
    """Lets the process keep what it frees, up to some 64 MB, for its next step.

    The GNU C library hands memory back to the system once more of it is free than
    twice the largest block that was freed so far. A gradient step frees megabytes
    in many small blocks: without a large one before, every step asks the system for
    the same pages anew, and waits for them to be zeroed: a quarter of a step's time
    on PyTorch. Elsewhere, or where `MALLOC_` variables say otherwise, this does
    nothing.
    """
    np.empty(31 * 2**20, np.uint8)  # the largest that counts has 32 MiB
