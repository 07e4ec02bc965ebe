"""Files that are whole or not there, and reading that trusts no file.

Whatever is written is new: made under a name that no file has, flushed to the
disk, and renamed when whole. Whatever is read is an ordinary file of the size
that was expected; links, devices and pipes are refused before anything is read.
"""

import hashlib
import json
import math
import os
import stat

BLOCK_BYTES = 2**22
LARGEST_JSON_BYTES = 2**24


def write_new(path, blocks):
    """Writes a file that does not exist yet, and flushes it to the disk.

    Args:
        path: Path.
        blocks: Iterable of objects with the buffer protocol.

    Returns:
        `{"bytes": ..., "sha256": ...}` of what was written.

    Raises:
        OSError: If the file exists, or the disk refuses. Half a file may be left.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
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


def replace(path, data):
    """Puts a small file in the place of another, or of none, in one step.

    Args:
        path: `pathlib.Path`.
        data: Bytes.

    Raises:
        OSError: If the disk refuses. The old file is still there then.
    """
    unfinished = path.with_name(f".unfinished-{path.name}")
    unfinished.unlink(missing_ok=True)
    write_new(unfinished, [data])
    os.rename(unfinished, path)
    flush_directory(path.parent)


def make_directory(path):
    """Makes a directory and those above it, each flushed to the disk.

    Returns:
        List of the directories that were made, the highest first.
    """
    if path.is_dir():
        return []
    made = make_directory(path.parent)
    os.mkdir(path)
    flush_directory(path.parent)
    return [*made, path]


def flush_directory(path):
    """Makes sure that names given in this directory survive a power cut."""
    flush(path, os.O_DIRECTORY)


def flush(path, flags=0):
    """Makes sure that what a closed file holds survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def blocks_of(array):
    """Yields the bytes of a NumPy array, in C order, without a copy of it all.

    Along the first axis the array may have gaps; the rest is in one piece.
    """
    if array.ndim > 1 and not array.flags.c_contiguous:
        for row in array:
            yield from blocks_of(row)
        return
    flat = memoryview(array.reshape(-1).view("u1"))
    for start in range(0, len(flat), BLOCK_BYTES):
        yield flat[start : start + BLOCK_BYTES]


def read_blocks(path, nbytes):
    """Yields the bytes of an ordinary file of exactly this size.

    Raises:
        ValueError: If it is a link, a device or of another size.
        OSError: If it cannot be read.
    """
    with _open_ordinary(path, nbytes) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def read_into(path, arrays):
    """Fills arrays, one after the other, with the bytes of an ordinary file.

    Args:
        path: `pathlib.Path`.
        arrays: NumPy arrays that may be written to. Along the first axis they may
            have gaps. Together they have as many bytes as the file.

    Raises:
        ValueError, OSError: As `read_blocks`.
    """
    with _open_ordinary(path, sum(array.nbytes for array in arrays)) as file:
        for array in arrays:
            for block in blocks_of(array):
                done = 0
                while done < len(block):
                    count = file.readinto(block[done:])
                    if not count:
                        raise ValueError(f"{path.name} became shorter while read")
                    done += count


def check_digest(path, facts):
    """Raises `ValueError` unless the file has the size and SHA-256 of `facts`."""
    digest = hashlib.sha256()
    for block in read_blocks(path, facts["bytes"]):
        digest.update(block)
    if digest.hexdigest() != facts["sha256"]:
        raise ValueError(f"{path.name} was changed after it was written")


def check_size(path, nbytes):
    """Raises `ValueError` unless it is an ordinary file of this size."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} is not an ordinary file")
    if found.st_size != nbytes:
        raise ValueError(
            f"{path.name} should have {nbytes} bytes and has {found.st_size}"
        )


def json_bytes(value):
    """Returns `value` as JSON, or raises `ValueError` for what JSON has not."""
    return json.dumps(value, indent=1, allow_nan=False).encode()


def read_json(path):
    """Returns what a JSON file holds, of at most 16 MiB.

    Raises:
        ValueError: If it is not an ordinary file, too large, or not strict JSON:
            a key twice in an object, NaN or infinity, or too deep a nesting.
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
        raise ValueError(f"{path.name} is nested too deep") from None
    except ValueError as error:  # bad UTF-8 is one, too
        raise ValueError(f"{path.name} is not strict JSON: {error}") from None


def _unique(pairs):
    values = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {name[:40]!r} is there twice")
        values[name] = value
    return values


def _no_constant(name):
    raise ValueError(f"{name} is not a number")


def _finite(text):
    value = float(text)
    return value if math.isfinite(value) else _no_constant(text)


def _open_ordinary(path, nbytes):
    """Opens an ordinary file of this size for reading, unbuffered."""
    check_size(path, nbytes)
    # A pipe would make `open` wait; what is swapped in between is seen below.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    file = os.fdopen(descriptor, "rb", buffering=0)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size != nbytes:
        file.close()
        raise ValueError(f"{path.name} was changed while it was opened")
    return file


def _write_all(descriptor, block):
    rest = memoryview(block)
    while rest:
        written = os.write(descriptor, rest)
        if not written:
            raise OSError("the disk took nothing")
        rest = rest[written:]
    return len(block)
