"""Writes event files for TensorBoard, with the names of `metrics.jsonl`.

As in the reference implementation, histograms of minibatches have a directory of their
own, so that TensorBoard shows two runs. Events are written in the caller's thread.
tensorboardX's `SummaryWriter` is not used: its thread dies when the disk is full, then
its queue fills up, and training waits forever.
"""

from __future__ import annotations

import logging
import os
import pathlib
import time
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn.monitor.records import Records

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


_LOG = logging.getLogger(__name__)
_FLUSH_SECONDS = 10.0
_HISTOGRAM_BINS = 32
_NOT_SCALARS = ("type", "env_steps", "time", "iteration")
_RESULTS = ("score_mean", "evaluation/mean", "final_evaluation/mean")  # in HParams


class TensorBoard(Records):
    """Writes scalars, a picture of the best episode, histograms and settings.

    The scalars have the names of the fields in `metrics.jsonl`, see `monitor.jsonl`:

    - those of "metrics" lines, without prefix: `score_mean`, `loss`, ...
    - those of evaluations: `evaluation/mean`, `evaluation/std`, and after the training
      `final_evaluation/mean`, `final_evaluation/std`.

    The picture is `observation`. The histograms are `q` and `q_update` (the Q-values
    and targets of a minibatch), and `evaluation/scores` (the scores of the games). The
    tab HParams shows the settings. The step is agent steps.

    Values that are unknown or not finite are left out. If a file cannot be written, a
    warning is logged once, and training goes on without event files. Existing event
    files are never deleted.

    Args:
        directory: Path of the directory of event files.
        histogram_directory: Path of the directory of event files with the histograms
            of minibatches. `None` is `histograms` inside `directory`.
        log_interval_iterations: Int, at least 1. Iterations between two records.

    Raises:
        ImportError: If tensorboardX or Pillow is not installed.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        histogram_directory: str | os.PathLike[str] | None = None,
        log_interval_iterations: int = 10,
    ) -> None:
        _check_imports()
        super().__init__(log_interval_iterations)
        self._directory = pathlib.Path(directory)
        self._histogram_directory = pathlib.Path(
            histogram_directory or self._directory / "histograms"
        )
        self._files: dict[pathlib.Path, Any] = {}
        # The step from which older records in each directory are hidden.
        self._hidden_from: dict[pathlib.Path, int] = {}
        self._is_on = self._has_warned = False
        self._best_frame: np.ndarray | None = None

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`. TensorBoard hides records at `env_steps` or later."""
        if self._is_on:
            raise RuntimeError("`resume` must be called before `start`.")
        super().resume(env_steps)
        directories = (self._directory, self._histogram_directory)
        self._hidden_from = dict.fromkeys(directories, int(env_steps))

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._best_frame = None
        self._is_on = True
        super().start(info)
        # Old histograms are hidden even if the resumed run writes no new ones.
        if self._hidden_from and self._histogram_directory.is_dir():
            self._write(self._histogram_directory, 0, [])

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if not self._is_on:
            return
        super().write(progress)
        if progress.iteration % self._log_interval == 0:
            picture = self._new_picture(progress.best_frame)
            self._write(self._directory, progress.env_steps, picture)
        if progress.histogram_q is not None:
            summaries = _histograms(progress)
            self._write(self._histogram_directory, progress.env_steps, summaries)

    def put(self, record: dict[str, Any]) -> None:
        """See `Records.put`."""
        summaries = _SUMMARIES.get(record["type"])
        if summaries is not None:
            self._write(self._directory, record["env_steps"], summaries(record))
        if not self._is_on:  # before `start` or after `close`
            self._close_files()

    def close(self) -> None:
        """See `Monitor.close`."""
        super().close()
        self._is_on = False
        self._close_files()

    def _close_files(self):
        files, self._files = self._files, {}
        for file in files.values():
            try:
                file.close()
            except OSError as error:
                self._warn(error)

    def _write(self, directory, env_steps, summaries):
        """Writes summaries, and opens the file first if it is not open yet."""
        if self._has_warned:
            return
        try:
            if directory not in self._files:
                hidden_from = self._hidden_from.pop(directory, None)
                self._files[directory] = _EventFile(directory, hidden_from)
            for summary in summaries:
                self._files[directory].write(step=env_steps, summary=summary)
        except OSError as error:
            self._warn(error)

    def _warn(self, error):
        if not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "Cannot write TensorBoard's files in %s (%s). "
                "Training goes on without them.",
                self._directory,
                error,
            )

    def _new_picture(self, frame):
        """Returns a list: a summary of `frame`, or nothing if it is not new."""
        if frame is None or frame.ndim != 2 or frame.dtype != np.uint8:
            return []
        if self._best_frame is not None and np.array_equal(frame, self._best_frame):
            return []
        from tensorboardX import summary

        self._best_frame = frame.copy()
        return [summary.image("observation", self._best_frame, dataformats="HW")]


class _EventFile:
    """A new event file in `directory`, flushed every few seconds."""

    def __init__(self, directory, hidden_from):
        from tensorboardX import RecordWriter
        from tensorboardX.proto import event_pb2

        directory.mkdir(parents=True, exist_ok=True)
        # The count makes names unique within the same second.
        count = len(list(directory.glob("events.out.tfevents.*")))
        name = f"events.out.tfevents.{int(time.time())}.{count:04}.{os.getpid()}"
        self._new_event = event_pb2.Event
        self._writer = RecordWriter(str(directory / name))
        self._next_flush = 0.0
        self.write(file_version="brain.Event:2")
        if hidden_from is not None:
            log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self.write(step=hidden_from, session_log=log)

    def write(self, **fields):
        """Writes an event with these fields."""
        event = self._new_event(wall_time=time.time(), **fields)
        self._writer.write(event.SerializeToString())
        now = time.monotonic()
        if now >= self._next_flush:
            self._writer.flush()
            self._next_flush = now + _FLUSH_SECONDS

    def close(self):
        """Flushes and closes the file."""
        self._writer.close()


def _check_imports():
    """Raises `ImportError` if a package is missing. The message says how to install."""
    try:
        import PIL  # noqa: F401  # needed by `summary.image`
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "TensorBoard's files need tensorboardX and Pillow, which cannot be "
            f'imported ({error}). Run: pip install "keras_dqn[tensorboard]"'
        ) from error


def _settings(record):
    """Returns the summaries of the tab HParams."""
    from tensorboardX import summary

    values = {
        **{name: record[name] for name in ("env_id", "backend", "device", "num_envs")},
        **record["settings"],
    }
    shown = {
        name: str(value) if isinstance(value, list | dict) else value
        for name, value in values.items()
    }
    # The third says that the run has ended.
    return list(summary.hparams(shown, dict.fromkeys(_RESULTS))[:2])


def _metrics(record):
    names = [name for name in record if name not in _NOT_SCALARS]
    return _scalars({name: record[name] for name in names})


def _evaluation(record):
    from tensorboardX import summary

    kind = "final_evaluation" if record["is_final"] else "evaluation"
    scores = np.asarray([x for x in record["scores"] if x is not None], np.float64)
    summaries = _scalars({f"{kind}/{name}": record[name] for name in ("mean", "std")})
    if scores.size:
        summaries.append(summary.histogram(f"{kind}/scores", scores, _HISTOGRAM_BINS))
    return summaries


_SUMMARIES = {"start": _settings, "metrics": _metrics, "evaluation": _evaluation}


def _scalars(values):
    """Returns a summary for each value that is known."""
    from tensorboardX import summary

    return [summary.scalar(tag, x) for tag, x in values.items() if x is not None]


def _histograms(progress):
    """Returns summaries of the Q-values and the targets that are finite."""
    from tensorboardX import summary

    summaries = []
    for tag, values in (
        ("q", progress.histogram_q),
        ("q_update", progress.histogram_targets),
    ):
        values = np.asarray([] if values is None else values, np.float64).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            summaries.append(summary.histogram(tag, values, bins=_HISTOGRAM_BINS))
    return summaries
