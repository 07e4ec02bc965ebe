"""The lines of a log: read one by one, so that damaged ones can be left out."""

from __future__ import annotations

import gzip
import json
import math
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

from keras_dqn import checks

_MOST_WARNINGS = 3  # of one file


class Lines:
    """The valid lines of a `metrics.jsonl`, which may be compressed with gzip.

    Args:
        path: Path of the file. Its name ends with `.gz` if it is compressed.

    Attributes:
        warnings: List of strings, complete after the iteration: each names the file
            and a damaged line. From the fourth on, damaged lines are only counted.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._damaged = 0
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields the records.

        Raises:
            OSError: If the file cannot be read.
        """
        for number, data in enumerate(self._data(), 1):
            if not data.strip():
                continue
            try:
                yield _checked(json.loads(data))
            except (ValueError, RecursionError, OverflowError) as error:
                self._damaged += 1
                if self._damaged <= _MOST_WARNINGS:
                    reason = " ".join(str(error).split())[:120]
                    text = f"{self._path}, line {number}: skipped, {reason}"
                    self.warnings.append(text)
        more = self._damaged - _MOST_WARNINGS
        if more > 0:
            self.warnings.append(f"{self._path}: {more} more damaged lines, skipped")

    def _data(self):
        is_packed = self._path.suffix == ".gz"
        with gzip.open(self._path) if is_packed else open(self._path, "rb") as file:
            try:
                yield from file
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self.warnings.append(f"{self._path}: its end is damaged, {error}")


def _checked(record):
    """Returns a record with finite floats or NaN. Raises `ValueError` if damaged."""
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise ValueError("it is not a record")
    checks.integer("env_steps", record.get("env_steps"), 0, checks.LARGEST_COUNT)
    kind = record["type"]
    if kind == "start":
        for name in ("settings", "env_options", "versions"):
            if not isinstance(record.setdefault(name, {}), dict):
                raise ValueError(f"`{name}` is not an object")
    elif kind == "metrics":
        values = {key: value for key, value in record.items() if key != "type"}
        return {"type": kind} | {
            key: number_of(value, key)
            for key, value in values.items()
            if not isinstance(value, list | dict)  # what a newer version may log
        }
    elif kind == "episode":
        record["score"] = number_of(record.get("score"), "score")
        record["length"] = number_of(record.get("length"), "length")
    elif kind == "evaluation":
        _check_evaluation(record)
    return record


def _check_evaluation(record):
    scores = record.get("scores")
    if not isinstance(scores, list) or not scores:
        raise ValueError("`scores` is not a list of numbers")
    for name in ("scores", "lengths"):
        values = [number_of(each, name) for each in record.get(name) or []]
        if not all(map(math.isfinite, values)):
            raise ValueError(f"`{name}` has a value that is not finite")
        record[name] = values
    record["epsilon"] = number_of(record.get("epsilon"), "epsilon")


def number_of(value: object, name: str) -> float:
    """Returns a number as a float: NaN if it is `None` or not finite.

    Raises:
        ValueError: If it is no number.
        OverflowError: If it is an integer beyond the range of floats.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{name}` is not a number")
    found = float(value)
    return found if math.isfinite(found) else math.nan
