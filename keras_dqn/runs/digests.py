"""SHA-256 of the whole state of a run, by part and by iteration.

Two runs are equal if their digests are equal. If not, `first_difference` returns the
first iteration and the parts that differ.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn.progress import Progress
from keras_dqn.replay.base import Replay
from keras_dqn.run_state import RunState
from keras_dqn.system import files

if TYPE_CHECKING:
    from keras_dqn.backend import Learner

# Arrays of a replay's state with priorities. The others hold the transitions.
_PRIORITIES = ("alpha", "leaves", "max_priority")
# Fields of `metrics.jsonl` that depend on the clock.
_TIMES = ("time", "training_seconds", "env_steps_per_second", "updates_per_second")


def of_arrays(arrays: Mapping[str, Any]) -> str:
    """Returns one SHA-256, in hex, of a dictionary of arrays.

    Names, dtypes, shapes and values count. The order of the names does not.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def of_json(value: Any) -> str:
    """Returns the SHA-256, in hex, of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def of_learner(learner: Learner) -> dict[str, str]:
    """Returns the digests of `online`, `target` and `optimizer`."""
    groups: dict[str, dict[str, Any]] = {}
    for name, array in learner.state_dict().items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = array
    return {group: of_arrays(arrays) for group, arrays in groups.items()}


def of_replay(replay: Replay) -> dict[str, str]:
    """Returns the digests of `replay` and `priorities`."""
    state = replay.state_dict()
    priorities = {name: state.pop(name) for name in _PRIORITIES if name in state}
    return {"replay": of_arrays(state), "priorities": of_arrays(priorities)}


def of_run_state(state: RunState) -> dict[str, str]:
    """Returns the digests of `counters`, `generators` and `episodes`.

    Args:
        state: `run_state.RunState`.
    """
    meta = state.to_meta()
    generators = {name: meta.pop(name) for name in list(meta) if name.endswith("_rng")}
    return {
        "counters": of_json(meta),
        "generators": of_json(generators),
        "episodes": of_arrays(state.statistics.state_dict()),
    }


def of_progress(progress: Progress) -> str:
    """Returns the digest of a `Progress`, without `seconds`."""
    values = dict(vars(progress))
    del values["seconds"]
    arrays = {
        name: values.pop(name)
        for name in list(values)
        if isinstance(values[name], np.ndarray)
    }
    values["episodes"] = [
        {
            name: of_arrays({name: value}) if isinstance(value, np.ndarray) else value
            for name, value in dataclasses.asdict(episode).items()
        }
        for episode in progress.episodes
    ]
    return of_json([values, of_arrays(arrays)])


def of_metrics(path: str | os.PathLike[str]) -> str:
    """Returns the digest of a `metrics.jsonl`, without times and start records."""
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    kept = [
        {name: value for name, value in line.items() if name not in _TIMES}
        for line in lines
        if line["type"] != "start"
    ]
    return of_json(kept)


class DigestLog:
    """A file with the digests of each iteration, as JSON lines.

    A resumed run repeats iterations. Their old lines are removed before the first new
    line is added.

    Args:
        path: Path of the file. It is created if it does not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self._is_open = False

    def add(self, iteration: int, parts: Mapping[str, str]) -> None:
        """Appends a line.

        Args:
            iteration: Integer.
            parts: Dictionary of digests by the name of the part.
        """
        if not self._is_open:
            kept = [x for x in read_log(self.path) if x["iteration"] < iteration]
            lines = "".join(json.dumps(line) + "\n" for line in kept)
            files.replace(self.path, lines.encode())
            self._is_open = True
        with open(self.path, "a") as file:
            file.write(json.dumps({"iteration": iteration, "parts": parts}) + "\n")


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the lines of a `DigestLog`, without an incomplete last line."""
    if not pathlib.Path(path).exists():
        return []
    lines = pathlib.Path(path).read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def first_difference(
    lines: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> str | None:
    """Returns the first difference of two runs as text, or `None` if they are equal.

    Args:
        lines: What `read_log` returned for one run.
        others: The same for the other.
    """
    for one, other in zip(lines, others, strict=False):
        if one["iteration"] != other["iteration"]:
            return f"the iteration numbers: {one['iteration']} and {other['iteration']}"
        names = one["parts"].keys() | other["parts"].keys()
        unequal = [n for n in names if one["parts"].get(n) != other["parts"].get(n)]
        if unequal:
            return f"iteration {one['iteration']}: {', '.join(sorted(unequal))}"
    if len(lines) != len(others):
        return f"the number of iterations: {len(lines)} and {len(others)}"
    return None
