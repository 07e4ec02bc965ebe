"""`metrics.jsonl`: one JSON object per line, for programs to read.

The `type` of a line is `"start"` (`RunInfo`, at each start or resume),
`"metrics"` (one per logged interval) or `"episode"` (one per finished episode).
Every line has `env_steps`, the agent steps taken before its iteration. Within one
run they never decrease. Values that are unknown or not finite are `null`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import math
import os
import pathlib
from typing import TYPE_CHECKING

from keras_dqn import checks
from keras_dqn.monitor import rates
from keras_dqn.monitor.base import Monitor

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


_LOG = logging.getLogger(__name__)


class JsonLines(Monitor):
    """Appends records to a file, complete lines only.

    If the file cannot be written (a full disk, a read-only directory), a warning is
    logged once, lines that cannot be written are lost, and training goes on.

    Args:
        path: Path of the file. Its directory is created if necessary.
        log_interval_iterations: Int, at least 1. Iterations between two lines
            of type `"metrics"`.
    """

    def __init__(
        self, path: str | os.PathLike[str], log_interval_iterations: int = 10
    ) -> None:
        self._path = pathlib.Path(path)
        self._log_interval = checks.integer(
            "log_interval_iterations", log_interval_iterations, minimum=1
        )
        self._file: io.FileIO | None = None
        self._has_warned = False
        self._start_env_steps = 0

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`. Lines at `env_steps` or later are deleted."""
        if self._file is not None:
            raise RuntimeError("`resume` must be called before `start`.")
        self._start_env_steps = int(env_steps)
        try:
            cut_off(self._path, self._start_env_steps)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._warn(error)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._interval = rates.IntervalRates()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "ab", buffering=0)
            if not _ends_with_newline(self._path):
                self._file.write(b"\n")  # a crash left an incomplete line
        except OSError as error:
            self._warn(error)
        self._append("start", self._start_env_steps, dataclasses.asdict(info))

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if self._file is None:
            return
        self._interval.add(progress)
        for episode in progress.episodes:
            self._append("episode", progress.env_steps, _episode(episode))
        if progress.iteration % self._log_interval == 0:
            metrics = _metrics(progress, *self._interval.take())
            self._append("metrics", progress.env_steps, metrics)

    def close(self) -> None:
        """See `Monitor.close`."""
        file, self._file = self._file, None
        self._start_env_steps = 0
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._warn(error)

    def _append(self, kind, env_steps, values):
        if self._file is None:
            return
        line = {"type": kind, "env_steps": env_steps, **values}
        data = (json.dumps(_as_json(line), allow_nan=False) + "\n").encode()
        size = None
        try:
            size = os.fstat(self._file.fileno()).st_size
            if self._file.write(data) != len(data):
                raise OSError("the disk is full")
        except OSError as error:
            if size is not None:
                self._truncate(size)
            self._warn(error)

    def _truncate(self, size):
        """Truncates the file to `size` bytes, to remove an incomplete line."""
        try:
            os.ftruncate(self._file.fileno(), size)
        except OSError as error:
            self._warn(error)

    def _warn(self, error):
        if not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "Cannot write %s (%s). Training goes on without it.",
                self._path,
                error,
            )


def cut_off(path: pathlib.Path, env_steps: int) -> None:
    """Removes the lines at `env_steps` or later from the end of a file.

    Only the last run in the file is changed. An incomplete last line is removed too.

    Args:
        path: Path of a file that `JsonLines` wrote.
        env_steps: Int, the agent steps at which the run is resumed.

    Raises:
        FileNotFoundError: If the file does not exist.
    """
    with open(path, "r+b") as file:
        cut, position = None, 0
        for line in file:
            if not line.endswith(b"\n"):
                cut = position if cut is None else cut
                break
            kind, at = _read(line)
            if kind == "start" and at == 0:
                cut = None  # a new run begins here
            if cut is None and at >= env_steps:
                cut = position
            position += len(line)
        if cut is not None:
            file.truncate(cut)


def last_env_steps(path: pathlib.Path) -> int:
    """Returns the last `env_steps` in a file of `JsonLines`, or 0 if there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2**16))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return 0
    return max(0, *(_read(line)[1] for line in lines[-3:]))


def _read(line):
    """Returns `type` and `env_steps` of a line; `(None, -1)` if it is damaged."""
    try:
        values = json.loads(line)
        return values["type"], int(values["env_steps"])
    except (ValueError, KeyError, TypeError):
        return None, -1


def _ends_with_newline(path):
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _episode(episode):
    return {
        "env_index": episode.env_index,
        "score": episode.score,
        "length": episode.length,
        "lives": episode.lives,
        "truncated": episode.truncated,
    }


def _metrics(progress, env_steps_per_second, updates_per_second):
    return {
        "iteration": progress.iteration,
        "updates": progress.updates,
        "env_steps_per_second": env_steps_per_second,
        "updates_per_second": updates_per_second,
        "loss": progress.loss,
        "q_mean": progress.q_mean,
        "q_std": progress.q_std,
        "td_error": progress.td_error,
        "epsilon": progress.epsilon,
        "beta": progress.beta,
        "episode_count": progress.episode_count,
        "score_mean": progress.score_mean,
        "length_mean": progress.length_mean,
        "best_score": progress.best_score,
        "replay_size": progress.replay_size,
        "replay_nbytes": progress.replay_nbytes,
    }


def _as_json(value):
    """Returns `value` as JSON types. Floats that are not finite become `None`."""
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
