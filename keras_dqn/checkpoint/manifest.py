"""The manifest: the files of a checkpoint, and the arrays in each file.

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

The arrays of a part are stored one after another in its file, in this order. The
manifest holds no paths: the file of part `learner` is `learner.bin`, and all segments
are in one directory. `sha256` is the digest of format and body. It distinguishes a
damaged manifest from a valid one of a newer format, whose body is unknown.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn import checks

FORMAT = 2
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SEGMENT_FILE = re.compile(r"[0-9]{6,18}\.bin")
# Numbers only. Objects would be pickled; strings and structures are not needed.
_DTYPES = {"|b1", "|i1", "|u1"} | {f"<{kind}{size}" for kind in "iu" for size in "248"}
_DTYPES |= {"<f2", "<f4", "<f8"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**62
_LARGEST_NDIM = 16


class NewerFormat(Exception):
    """The checkpoint is not damaged. A newer version of the library wrote it."""


def dtype_name(dtype: npt.DTypeLike) -> str:
    """Returns the name of a dtype that a checkpoint can hold, such as `"<f4"`.

    Raises:
        ValueError: For any other dtype: objects, strings, structures, dates.
    """
    name = np.dtype(dtype).str
    if name not in _DTYPES:
        raise ValueError(f"an array of dtype {dtype} cannot be saved")
    return name


def seal(body: dict[str, Any], number: int = FORMAT) -> dict[str, Any]:
    """Returns the manifest for this body: with the format and the digest."""
    return {"format": number, "sha256": _digest(number, body), "body": body}


def checked_body(manifest: object) -> dict[str, Any]:
    """Returns the body of a manifest, after checking the manifest.

    Args:
        manifest: The value in `manifest.json`.

    Raises:
        ValueError: If it is not a valid manifest, or was changed.
        NewerFormat: If a newer version of the library wrote it.
    """
    number, body, digest = _fields(
        manifest, "manifest", format=int, body=dict, sha256=str
    )
    checks.integer("format", number, 1, _LARGEST)
    if digest != _digest(number, body):
        raise ValueError("manifest.json was changed after it was written")
    if number > FORMAT:
        raise NewerFormat(
            "A newer version of keras_dqn wrote this checkpoint: `format` must be at "
            f"most {FORMAT}. Received: format={number}"
        )
    _check_body(body)
    return body


def nbytes_of(dtype: npt.DTypeLike, shape: Sequence[int]) -> int:
    """Returns the bytes of an array, as a Python integer, which cannot overflow."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def arrays_of(part: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Returns `{name: (dtype, shape)}` of the arrays in a part's file."""
    return {name: (dtype, tuple(shape)) for name, dtype, shape in part["arrays"]}


def rings_of(part: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Returns `{name: (dtype, shape)}` of the part's rings."""
    return {
        name: (ring["dtype"], tuple(ring["shape"]))
        for name, ring in part["rings"].items()
    }


def segments_of(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the manifest's entry of every segment."""
    for part in body["parts"].values():
        for ring in part["rings"].values():
            yield from ring["segments"]


def check_limits(body: dict[str, Any], limits: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises `ValueError` for an array that is unexpected or too large.

    Args:
        body: Dictionary, see `checked_body`.
        limits: Dictionary: part to name to `(dtype, shape)`. An array must have this
            dtype, and must not have more dimensions or be longer in any of them.
    """
    if set(body["parts"]) != set(limits):
        raise ValueError(
            f"it must have the parts {sorted(limits)}. "
            f"Received: {sorted(body['parts'])}"
        )
    for part, entry in body["parts"].items():
        for name, (dtype, shape) in (arrays_of(entry) | rings_of(entry)).items():
            if name not in limits[part]:
                raise ValueError(f"{part} has an unexpected array: {name!r}")
            largest_dtype, largest = limits[part][name]
            is_within = len(shape) <= len(largest) and not any(
                length > limit for length, limit in zip(shape, largest, strict=False)
            )
            if not is_within or dtype != dtype_name(largest_dtype):
                raise ValueError(
                    f"`{name}` of {part} must have a shape of at most {tuple(largest)} "
                    f"and dtype {np.dtype(largest_dtype)}. Received: shape={shape}, "
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
            f"the arrays of {name} have {nbytes} bytes, but its file has "
            f"{part['bytes']}"
        )
    for key, ring in rings.items():
        dtype, shape, segments = _fields(
            ring, key, dtype=str, shape=list, segments=list
        )
        _check_array(key, dtype, shape)
        _check_segments(key, dtype, shape, segments)


def _check_segments(name, dtype, shape, segments):
    """Raises `ValueError` unless the segments cover the second axis, in order."""
    if len(shape) < 2:
        raise ValueError(f"the ring {name} must have two axes")
    reached = 0
    for entry in segments:
        file, start, stop, time = _fields(
            entry, f"segment of {name}", file=str, start=int, stop=int, time=int
        )
        _match(_SEGMENT_FILE, file, "segment file")
        _check_file(entry, file)
        checks.integer("stop", stop, reached + 1, _LARGEST)
        checks.integer("time", time, 0, _LARGEST)
        if start != reached:
            raise ValueError(f"the segments of {name} have a gap at column {reached}")
        nbytes = nbytes_of(dtype, [shape[0], stop - start, *shape[2:]])
        if entry["bytes"] != nbytes:
            raise ValueError(f"{file} must have {nbytes} bytes for its shape")
        reached = stop
    if reached != shape[1]:
        raise ValueError(f"the segments of {name} have {reached} of {shape[1]} columns")


def _check_array(name, dtype, shape):
    if not isinstance(name, str) or not isinstance(dtype, str):
        raise ValueError("names and dtypes of arrays must be strings")
    if dtype not in _DTYPES:
        raise ValueError(f"the manifest has an invalid dtype: {dtype[:40]!r}")
    if not isinstance(shape, list) or len(shape) > _LARGEST_NDIM:
        raise ValueError(f"the shape of {name[:40]} must be a list of lengths")
    for length in shape:
        checks.integer(f"length in the shape of {name[:40]}", length, 0, _LARGEST)


def _check_file(entry, what):
    nbytes, digest = _fields(entry, what, bytes=int, sha256=str)
    checks.integer(f"bytes of {what}", nbytes, 0, _LARGEST)
    _match(_SHA256, digest, f"sha256 of {what}")


def _fields(value, what, **types):
    """Returns the fields `types`; raises `ValueError` for a missing or wrong one."""
    for name, kind in types.items():
        found = value.get(name) if isinstance(value, dict) else None
        if not isinstance(found, kind):
            raise ValueError(f"{what[:40]} must have `{name}`, of type {kind.__name__}")
    return [value[name] for name in types]


def _match(pattern, value, what):
    if not pattern.fullmatch(value):
        raise ValueError(f"the manifest has an invalid {what}: {value[:40]!r}")
