"""SHA-256 of all that a run carries on, part by part and iteration by iteration.

Two runs are the same run if these agree. Where they do not, the file of digests
tells in which iteration they parted, and which part did so first.
"""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np

# Of a replay's state. The rest of it is what was stored.
_PRIORITIES = ("alpha", "leaves", "max_priority")
# Of a line of `metrics.jsonl`: what a clock says.
_TIMES = ("env_steps_per_second", "updates_per_second")


def of_arrays(arrays):
    """Returns one SHA-256, in hex, of a dictionary of arrays.

    Names, dtypes and shapes count too, the order of the names does not.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def of_json(value):
    """Returns the SHA-256, in hex, of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def of_learner(learner):
    """Returns the digests of `online`, `target` and `optimizer`."""
    groups = {}
    for name, array in learner.state_dict().items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = array
    return {group: of_arrays(arrays) for group, arrays in groups.items()}


def of_replay(replay):
    """Returns the digests of `replay` and `priorities`."""
    state = replay.state_dict()
    priorities = {name: state.pop(name) for name in _PRIORITIES if name in state}
    return {"replay": of_arrays(state), "priorities": of_arrays(priorities)}


def of_run_state(state):
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


def of_progress(progress):
    """Returns the digest of a `Progress`, without what a clock says."""
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


def of_metrics(path):
    """Returns the digest of a `metrics.jsonl`, without times and starts."""
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    kept = [
        {name: value for name, value in line.items() if name not in _TIMES}
        for line in lines
        if line["type"] != "start"
    ]
    return of_json(kept)


class HashChain:
    """A file with a line for each iteration: digests, chained to the line before.

    A run that goes on from an earlier iteration than the file's last cuts off
    what it will do again.

    Args:
        path: Path of the file, JSON lines. Made if there is none.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._lines = None

    def add(self, iteration, parts):
        """Appends a line.

        Args:
            iteration: Integer, which the digests are of.
            parts: Dictionary of digests by the name of the part.
        """
        if self._lines is None:
            self._lines = [line for line in read_chain(self.path)]
            self._lines = [x for x in self._lines if x["iteration"] < iteration]
            kept = "".join(json.dumps(line) + "\n" for line in self._lines)
            self.path.write_text(kept)
        before = self._lines[-1]["chain"] if self._lines else ""
        line = {"iteration": iteration, "parts": parts}
        line["chain"] = of_json([before, line])
        self._lines.append(line)
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")


def read_chain(path):
    """Returns the lines of a `HashChain`'s file; a torn last line is left out."""
    if not pathlib.Path(path).exists():
        return []
    lines = pathlib.Path(path).read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def first_difference(lines, others):
    """Returns where two chains part, in words, or `None` if they do not.

    Args:
        lines: What `read_chain` returned of the one run.
        others: The same of the other.
    """
    for one, other in zip(lines, others, strict=False):
        if one["iteration"] != other["iteration"]:
            return f"iteration {one['iteration']} stands by {other['iteration']}"
        names = one["parts"].keys() | other["parts"].keys()
        parted = [n for n in names if one["parts"].get(n) != other["parts"].get(n)]
        if parted:
            return f"iteration {one['iteration']}: {', '.join(sorted(parted))}"
    if len(lines) != len(others):
        return f"{len(lines)} iterations, and {len(others)}"
    return None
