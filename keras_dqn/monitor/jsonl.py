"""`metrics.jsonl`: one JSON object per line, for programs to read.

| `type` | written | fields |
| --- | --- | --- |
| all | | `type`, `env_steps`, `time` |
| `"start"` | at each start or resume | those of `RunInfo` |
| `"metrics"` | every `log_interval_iterations` | see below |
| `"episode"` | when a training episode ends | `env_index`, `score`, `length`, \
`lives`, `truncated` |
| `"evaluation"` | after each evaluation | `mean`, `std`, `interval`, `episodes`, \
`epsilon`, `scores`, `lengths`, `is_final` |

| field | unit or type | contents |
| --- | --- | --- |
| `env_steps` | agent steps | taken before the line's iteration, or when evaluated |
| `time` | seconds since 1970 (UTC) | when the line was written, to 0.1 s |
| `iteration` | | number of the iteration, from 0 |
| `updates` | gradient steps | since the start of the run |
| `training_seconds` | seconds | sampling and training since step 0, see below |
| `env_steps_per_second`, `updates_per_second` | 1/s | since the line before, of \
sampling and training |
| `loss`, `q_mean`, `q_std`, `td_error` | | of this iteration, see `Progress` |
| `epsilon`, `beta` | | of this iteration |
| `episode_count` | episodes | finished since the start of the run |
| `score_mean`, `length_mean` | raw score, agent steps | of the last 100 episodes |
| `best_score` | raw score | of the best training episode so far |
| `replay_size` | transitions | stored |
| `replay_nbytes` | bytes | used by the replay |
| `replay_fill` | from 0 to 1 | filled part of the replay |
| `learning_rate` | | of the optimizer, after this iteration |
| `gradient_norm` | | L2 norm of all gradients before clipping, mean of this iteration |
| `effective_sample_size` | transitions | `(sum w)^2 / sum w^2` of the importance \
weights of a minibatch, mean of this iteration |
| `sample_age_mean` | agent steps | age of the transitions sampled in this iteration: \
how many were stored later |
| `max_priority` | | largest priority so far; `null` with uniform replay |
| `score`, `length` | raw score, agent steps | of one episode |
| `env_index` | | number of the environment, from 0 |
| `lives` | | left at the end of the episode |
| `truncated` | boolean | whether a limit ended the episode |
| `mean`, `std`, `interval` | raw score | of an evaluation; the interval is \
`[low, high]`, 95 % |
| `episodes` | episodes | played in the evaluation |
| `scores`, `lengths` | lists of raw scores, agent steps | of each game |
| `is_final` | boolean | whether it was played after the training |

Within one run `env_steps` never decreases. Values that are unknown or not finite are
`null`. `training_seconds` continues over a resume from the last line that is kept, so
the iterations between that line and the checkpoint do not count. It is `null` if
that line does not have it. Logs of older versions have no `time`, no
`training_seconds` and no evaluations.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import logging
import os
import pathlib
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn.monitor.records import Records

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation
    from keras_dqn.monitor.info import RunInfo


_LOG = logging.getLogger(__name__)


class JsonLines(Records):
    """Appends records to a file, complete lines only.

    If the file cannot be written (a full disk, a read-only directory), a warning is
    logged once, lines that cannot be written are lost, and training goes on.

    Args:
        path: Path of the file. Its directory is created if necessary.
        log_interval_iterations: Int, at least 1. Iterations between two lines
            of type `"metrics"`.

    Attributes:
        training_seconds: See `Records`.
        kept_evaluation: Dictionary, the record of the evaluation during training
            at the agent steps of the resume, until `start`. `None` if there is none.
    """

    def __init__(
        self, path: str | os.PathLike[str], log_interval_iterations: int = 10
    ) -> None:
        super().__init__(log_interval_iterations)
        self._path = pathlib.Path(path)
        self._file: io.FileIO | None = None
        self._has_warned = False
        self.kept_evaluation: dict[str, Any] | None = None

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`. Lines at `env_steps` or later are deleted."""
        if self._file is not None:
            raise RuntimeError("`resume` must be called before `start`.")
        super().resume(env_steps)
        self._cut_off(keeps_evaluation=True)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self.kept_evaluation = None
        self._open()
        super().start(info)

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """See `Monitor.evaluation`."""
        if self._file is not None:
            super().evaluation(env_steps, result, is_final)
            return
        if self.kept_evaluation is not None and not is_final:
            self._cut_off(keeps_evaluation=False)  # it was played again
        self._open()
        super().evaluation(env_steps, result, is_final)
        self._close_file()

    def close(self) -> None:
        """See `Monitor.close`."""
        super().close()
        self.kept_evaluation = None
        self._close_file()

    def put(self, record: dict[str, Any]) -> None:
        """See `Records.put`."""
        if self._file is None:
            return
        data = (json.dumps(record, allow_nan=False) + "\n").encode()
        size = None
        try:
            size = os.fstat(self._file.fileno()).st_size
            if self._file.write(data) != len(data):
                raise OSError("the disk is full")
        except OSError as error:
            if size is not None:
                self._truncate(size)
            self._warn(error)

    def _cut_off(self, keeps_evaluation):
        try:
            kept = cut_off(self._path, self._start_env_steps, keeps_evaluation)
        except FileNotFoundError:
            return
        except OSError as error:
            self._warn(error)
            return
        self.training_seconds = kept.training_seconds
        self.kept_evaluation = kept.evaluation

    def _open(self):
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "ab", buffering=0)
            if not _ends_with_newline(self._path):
                self._file.write(b"\n")  # a crash left an incomplete line
        except OSError as error:
            self._warn(error)

    def _close_file(self):
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
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


@dataclasses.dataclass
class Kept:
    """What `cut_off` has left of the last run in a file.

    Attributes:
        training_seconds: Float, of the last line of type `"metrics"`. `None` if it is
            not known.
        evaluation: Dictionary, the evaluation during training at the cut, or `None`.
    """

    training_seconds: float | None
    evaluation: dict[str, Any] | None = None


def cut_off(path: pathlib.Path, env_steps: int, keeps_evaluation: bool = True) -> Kept:
    """Removes the lines at `env_steps` or later from the end of a file.

    Only the last run in the file is changed. An incomplete last line is removed too.
    An evaluation during training is played before the checkpoint at the same agent
    steps is saved. So it is kept at `env_steps`. The final evaluation is played later.

    Args:
        path: Path of a file that `JsonLines` wrote.
        env_steps: Int, the agent steps at which the run is resumed.
        keeps_evaluation: Boolean. Whether an evaluation during training is kept at
            `env_steps`.

    Returns:
        `Kept`.

    Raises:
        FileNotFoundError: If the file does not exist.
    """
    with open(path, "r+b") as file:
        cut, position, kept = None, 0, _nothing_kept(env_steps)
        for data in file:
            line = _parsed(data)
            if not data.endswith(b"\n"):
                cut = position if cut is None else cut
                break
            if line["type"] == "start" and line["env_steps"] == 0:
                cut, kept = None, _nothing_kept(env_steps)  # a new run begins here
            if cut is None and _is_evaluation_at(line, env_steps) and keeps_evaluation:
                kept.evaluation = line
            elif cut is None and line["env_steps"] >= env_steps:
                cut = position
            elif cut is None and line["type"] == "metrics":
                kept.training_seconds = line.get("training_seconds")
            position += len(data)
        if cut is not None:
            file.truncate(cut)
    return kept


def last_env_steps(path: pathlib.Path) -> int:
    """Returns the last agent steps before which a log has all checkpoints.

    An evaluation is logged before the checkpoint at the same agent steps is saved, so
    it does not count.

    Args:
        path: Path of a file that `JsonLines` wrote.

    Returns:
        Int. 0 if there is no such line, or no file.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2**20))
            lines = [_parsed(data) for data in file.read().split(b"\n")]
    except FileNotFoundError:
        return 0
    found = [x["env_steps"] for x in lines if x["type"] not in (None, "evaluation")]
    return found[-1] if found else 0


def last_final_evaluation(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the record of the final evaluation, if it is the last line of a log.

    Args:
        path: Path of a file that `JsonLines` wrote.

    Returns:
        Dictionary. `None` if another line follows it, or there is no such file.
    """
    try:
        with open(path, "rb") as file:
            last = collections.deque(file, maxlen=1)
    except OSError:
        return None
    record = _parsed(last[0]) if last else {}
    return record if record.get("is_final") is True else None


def _nothing_kept(env_steps):
    return Kept(None if env_steps else 0.0)


def _is_evaluation_at(line, env_steps):
    """Whether a line is of an evaluation during training at `env_steps`."""
    is_during = line["type"] == "evaluation" and not line.get("is_final")
    return is_during and line["env_steps"] == env_steps


def _parsed(data):
    """Returns a line; its `type` is `None` and `env_steps` -1 if it is damaged."""
    try:
        line = json.loads(data)
        return {**line, "type": line["type"], "env_steps": int(line["env_steps"])}
    except (ValueError, KeyError, TypeError):
        return {"type": None, "env_steps": -1}


def _ends_with_newline(path):
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
