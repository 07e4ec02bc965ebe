"""Atomic writes, and reads that check the file first.

A file is written under a new name, flushed to the disk with `fsync`, and renamed
once it is complete. A file is read only if it is a regular file of the expected
size: links, devices and pipes are refused before anything is read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    import numpy as np

BLOCK_BYTES = 2**22
LARGEST_JSON_BYTES = 2**24

# Flags that only some systems have. The first prevents the translation of line ends
# on Windows, the others are POSIX.
_BINARY = getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", None)
# Errors of `fsync` on file systems that cannot flush directories.
_CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP)


def write_new(path: Path, blocks: Iterable[bytes | memoryview]) -> dict[str, Any]:
    """Writes a file that does not exist yet, and flushes it to the disk.

    Args:
        path: Path.
        blocks: Iterable of bytes or flat memory views of bytes.

    Returns:
        `{"bytes": ..., "sha256": ...}`: the size and digest of the file.

    Raises:
        OSError: If the file exists or cannot be written. An incomplete file may
            remain.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    digest, count = hashlib.sha256(), 0
    descriptor = os.open(path, flags, 0o666)
    try:
        for block in blocks:
            digest.update(block)
            count += _write_all(descriptor, block)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"bytes": count, "sha256": digest.hexdigest()}


def replace(path: Path, data: bytes) -> None:
    """Writes a small file atomically, replacing an older one.

    Args:
        path: `pathlib.Path`.
        data: Bytes.

    Raises:
        OSError: If it cannot be written. The older file is unchanged then.
    """
    unfinished = path.with_name(f".unfinished-{path.name}")
    unfinished.unlink(missing_ok=True)
    write_new(unfinished, [data])
    os.replace(unfinished, path)
    flush_directory(path.parent)


def make_directory(path: Path) -> list[Path]:
    """Creates a directory and its missing parents, each flushed to the disk.

    Returns:
        List of the created directories, the outermost first.
    """
    if path.is_dir():
        return []
    made = make_directory(path.parent)
    try:
        os.mkdir(path)
    except FileExistsError:  # a file, or another process has just made it
        if not path.is_dir():
            raise
        return made
    flush_directory(path.parent)
    return [*made, path]


def flush_directory(path: Path) -> None:
    """Flushes a directory to the disk, where the system supports it.

    Otherwise a file that was just created or renamed may be lost in a power cut.
    Windows and some file systems cannot flush directories.
    """
    if _DIRECTORY is None:
        return
    try:
        _flush(path, os.O_RDONLY | _DIRECTORY)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def flush(path: Path) -> None:
    """Flushes the contents of a closed file to the disk."""
    _flush(path, os.O_RDWR | _BINARY)  # Windows cannot flush files opened for reading


def blocks_of(array: np.ndarray) -> Iterator[memoryview]:
    """Yields the bytes of a NumPy array in C order, as views without copies.

    The array may be strided along its first axis. Other axes must be contiguous.
    """
    if array.ndim > 1 and not array.flags.c_contiguous:
        for row in array:
            yield from blocks_of(row)
        return
    flat = array.reshape(-1).view("u1").data
    for start in range(0, len(flat), BLOCK_BYTES):
        yield flat[start : start + BLOCK_BYTES]


def read_blocks(path: Path, nbytes: int) -> Iterator[bytes]:
    """Yields the bytes of a regular file of exactly this size.

    Raises:
        ValueError: If it is a link or a device, or has another size.
        OSError: If it cannot be read.
    """
    with _open_regular(path, nbytes) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def read_into(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Fills arrays in sequence with the bytes of a regular file.

    Args:
        path: `pathlib.Path`.
        arrays: Writable NumPy arrays, whose total size is that of the file. They
            may be strided along their first axis.

    Raises:
        ValueError, OSError: See `read_blocks`.
    """
    with _open_regular(path, sum(array.nbytes for array in arrays)) as file:
        for array in arrays:
            for block in blocks_of(array):
                done = 0
                while done < len(block):
                    count = file.readinto(block[done:])
                    if not count:
                        raise ValueError(f"{path.name} was truncated while it was read")
                    done += count


def check_digest(path: Path, facts: Mapping[str, Any]) -> None:
    """Raises `ValueError` unless the file has the size and SHA-256 of `facts`."""
    digest = hashlib.sha256()
    for block in read_blocks(path, facts["bytes"]):
        digest.update(block)
    if digest.hexdigest() != facts["sha256"]:
        raise ValueError(f"{path.name} was changed after it was written")


def check_size(path: Path, nbytes: int) -> None:
    """Raises `ValueError` unless `path` is a regular file of this size."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} is not a regular file")
    if found.st_size != nbytes:
        raise ValueError(
            f"{path.name} should have {nbytes} bytes and has {found.st_size}"
        )


def json_bytes(value: object) -> bytes:
    """Returns `value` as JSON. Raises `ValueError` for NaN and infinity."""
    return json.dumps(value, indent=1, allow_nan=False).encode()


def read_json(path: Path) -> Any:
    """Returns the value in a JSON file of at most 16 MiB.

    Raises:
        ValueError: If it is not a regular file, is too large, or is not strict JSON
            (a duplicate key, NaN or infinity, or nested too deeply).
        OSError: If it cannot be read.
    """
    nbytes = os.lstat(path).st_size
    if nbytes > LARGEST_JSON_BYTES:
        raise ValueError(f"{path.name} is larger than {LARGEST_JSON_BYTES} bytes")
    data = b"".join(read_blocks(path, nbytes))
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    except ValueError as error:  # also bad UTF-8
        raise ValueError(f"{path.name} is not strict JSON: {error}") from None


def _unique(pairs):
    values = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"duplicate key {name[:40]!r}")
        values[name] = value
    return values


def _no_constant(name):
    raise ValueError(f"{name} is not a number")


def _finite(text):
    value = float(text)
    return value if math.isfinite(value) else _no_constant(text)


def _open_regular(path, nbytes):
    """Opens a regular file of this size for reading, unbuffered."""
    check_size(path, nbytes)
    # The file may have been replaced since the check: by a link, which `_NOFOLLOW`
    # refuses, or by a pipe, for which `open` would wait without `_NONBLOCK`.
    flags = os.O_RDONLY | _BINARY | _NOFOLLOW | _NONBLOCK
    descriptor = os.open(path, flags)
    file = os.fdopen(descriptor, "rb", buffering=0)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size != nbytes:
        file.close()
        raise ValueError(f"{path.name} changed while it was opened")
    return file


def _flush(path, flags):
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor, block):
    rest = memoryview(block)
    while rest:
        written = os.write(descriptor, rest)
        if not written:
            raise OSError("nothing could be written: the disk may be full")
        rest = rest[written:]
    return len(block)
