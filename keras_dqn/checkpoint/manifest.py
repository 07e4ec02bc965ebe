"""The manifest: which files a checkpoint has, and what is in each.

    {"format": 2, "sha256": ..., "body": {
        "env_steps": 320,
        "meta": {"bytes": ..., "sha256": ...},
        "parts": {
            "learner": {
                "bytes": ..., "sha256": ...,
                "arrays": [["online/0", "<f4", [4, 5]], ...],
                "rings": {}},
            "replay": {
                ...,
                "rings": {"frames": {
                    "dtype": "|u1", "shape": [8, 2052, 84, 84],
                    "segments": [{"file": "000017.bin", "bytes": ..., "sha256": ...,
                                  "start": 0, "stop": 1189, "time": 2051}, ...]}}}}}}

Arrays lie end to end in their part's file, in this order. No path is in it: the file
of part `learner` is `learner.bin`, and segments are looked for in one directory.
`sha256` is that of format and body, so that a later version, whatever it writes into
the body, is told from a damaged file.
"""

import hashlib
import json
import math
import re

import numpy as np

from keras_dqn import checks

FORMAT = 2
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SEGMENT_FILE = re.compile(r"[0-9]{6,18}\.bin")
# Plain numbers: no objects, which would be pickled, no strings, no structures.
_DTYPES = {"|b1", "|i1", "|u1"} | {f"<{kind}{size}" for kind in "iu" for size in "248"}
_DTYPES |= {"<f2", "<f4", "<f8"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**62


class NewerFormat(Exception):
    """The checkpoint is whole, and of a later version of the library."""


def dtype_name(dtype):
    """Returns the name of a dtype that a checkpoint can hold: `"<f4"`.

    Raises:
        ValueError: For objects, strings, structures and whatever else is not a
            plain number.
    """
    name = np.dtype(dtype).str
    if name not in _DTYPES:
        raise ValueError(f"an array of dtype {dtype} cannot be saved")
    return name


def seal(body):
    """Returns the manifest of this body, ready for JSON."""
    return {"format": FORMAT, "sha256": _digest(FORMAT, body), "body": body}


def opened(manifest):
    """Returns the body of a manifest which was read from a file, checked.

    Args:
        manifest: What JSON held.

    Raises:
        ValueError: If it was changed, or never was a manifest.
        NewerFormat: If a later version of the library wrote it.
    """
    number = manifest.get("format") if isinstance(manifest, dict) else None
    if number == 1:
        raise ValueError(
            "format 1, of keras_dqn before checkpoints had segments, cannot be read "
            "by this version. Go on with it in the version which wrote it"
        )
    body, digest = _fields(manifest, "manifest", body=dict, sha256=str)
    checks.integer("format", number, 1, _LARGEST)
    if digest != _digest(number, body):
        raise ValueError("manifest.json was changed after it was written")
    if number > FORMAT:
        raise NewerFormat(
            "It was written by a newer version of keras_dqn: format must be at most "
            f"{FORMAT}. Received: format={number}"
        )
    _check_body(body)
    return body


def nbytes_of(dtype, shape):
    """Bytes of an array, as a Python integer that cannot overflow."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def arrays_of(part):
    """Returns `{name: (dtype, shape)}` of the arrays in a part's file."""
    return {name: (dtype, tuple(shape)) for name, dtype, shape in part["arrays"]}


def rings_of(part):
    """Returns `{name: (dtype, shape)}` of the part's rings."""
    return {
        name: (ring["dtype"], tuple(ring["shape"]))
        for name, ring in part["rings"].items()
    }


def segments_of(body):
    """Yields the facts of every segment file that the body names."""
    for part in body["parts"].values():
        for ring in part["rings"].values():
            yield from ring["segments"]


def check_limits(body, limits):
    """Raises `ValueError` for an array that is not asked for, or too long.

    Args:
        body: Dictionary, see `opened`.
        limits: Dictionary: part to name to `(dtype, shape)`. A shape is within a
            limit that has as many lengths or more, each at least as large.
    """
    if set(body["parts"]) != set(limits):
        raise ValueError(
            f"it must have the parts {sorted(limits)}. "
            f"Received: {sorted(body['parts'])}"
        )
    for part, facts in body["parts"].items():
        found = {**arrays_of(facts), **rings_of(facts)}
        for name, (dtype, shape) in found.items():
            if name not in limits[part]:
                raise ValueError(f"{part} has an array that nobody asked for: {name!r}")
            most_dtype, most = limits[part][name]
            is_within = len(shape) <= len(most) and not any(
                length > limit for length, limit in zip(shape, most, strict=False)
            )
            if not is_within or dtype != dtype_name(most_dtype):
                raise ValueError(
                    f"`{name}` of {part} must have a shape within {tuple(most)} and "
                    f"dtype {np.dtype(most_dtype)}. Received: shape={shape}, "
                    f"dtype={np.dtype(dtype)}"
                )


def _digest(number, body):
    try:
        text = json.dumps([number, body], sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise ValueError("manifest.json is nested too deep") from None
    return hashlib.sha256(text.encode()).hexdigest()


def _check_body(body):
    env_steps, meta, parts = _fields(body, "body", env_steps=int, meta=dict, parts=dict)
    checks.integer("env_steps", env_steps, 0, _LARGEST)
    _check_file(meta, "meta")
    for name, part in parts.items():
        _match(_NAME, name, "part")
        _check_part(name, part)


def _check_part(name, part):
    arrays, rings = _fields(part, name, arrays=list, rings=dict)
    _check_file(part, name)
    nbytes = 0
    for entry in arrays:
        if not isinstance(entry, list) or len(entry) != 3:
            raise ValueError(f"an array of {name} must be [name, dtype, shape]")
        _check_array(*entry)
        nbytes += nbytes_of(entry[1], entry[2])
    names = [entry[0] for entry in arrays] + list(rings)
    if len(set(names)) != len(names):
        raise ValueError(f"two arrays of {name} have the same name")
    if nbytes != part["bytes"]:
        raise ValueError(
            f"the arrays of {name} take {nbytes} bytes, its file {part['bytes']}"
        )
    for key, ring in rings.items():
        dtype, shape, segments = _fields(
            ring, key, dtype=str, shape=list, segments=list
        )
        _check_array(key, dtype, shape)
        _check_segments(key, dtype, shape, segments)


def _check_segments(name, dtype, shape, segments):
    """Segments follow one another, and cover the second axis."""
    if len(shape) < 2:
        raise ValueError(f"the ring {name} must have two axes")
    reached = 0
    for facts in segments:
        file, start, stop, time = _fields(
            facts, f"segment of {name}", file=str, start=int, stop=int, time=int
        )
        _match(_SEGMENT_FILE, file, "segment file")
        _check_file(facts, file)
        checks.integer("stop", stop, reached + 1, _LARGEST)
        checks.integer("time", time, 0, _LARGEST)
        if start != reached:
            raise ValueError(f"the segments of {name} leave a gap at {reached}")
        nbytes = nbytes_of(dtype, [shape[0], stop - start, *shape[2:]])
        if facts["bytes"] != nbytes:
            raise ValueError(f"{file} must have {nbytes} bytes by its shape")
        reached = stop
    if reached != shape[1]:
        raise ValueError(f"the segments of {name} end at {reached} of {shape[1]}")


def _check_array(name, dtype, shape):
    if not isinstance(name, str) or not isinstance(dtype, str):
        raise ValueError("names and dtypes of arrays must be strings")
    if dtype not in _DTYPES:
        raise ValueError(f"the manifest has an impossible dtype: {dtype[:40]!r}")
    if not isinstance(shape, list) or len(shape) > 16:
        raise ValueError(f"the shape of {name[:40]} must be a list of lengths")
    for length in shape:
        checks.integer(f"length in the shape of {name[:40]}", length, 0, _LARGEST)


def _check_file(facts, what):
    nbytes, digest = _fields(facts, what, bytes=int, sha256=str)
    checks.integer(f"bytes of {what}", nbytes, 0, _LARGEST)
    _match(_SHA256, digest, f"sha256 of {what}")


def _fields(value, what, **types):
    """Returns the fields of these names, which must be of these types."""
    for name, kind in types.items():
        found = value.get(name) if isinstance(value, dict) else None
        if not isinstance(found, kind):
            raise ValueError(f"{what[:40]} must have `{name}`, of type {kind.__name__}")
    return [value[name] for name in types]


def _match(pattern, value, what):
    if not pattern.fullmatch(value):
        raise ValueError(f"the manifest has an impossible {what}: {value[:40]!r}")
