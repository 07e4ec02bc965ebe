"""Writes event files for TensorBoard, with the tags of the reference implementation.

Scalars and the picture are written to one directory and histograms to another, so
that TensorBoard shows them as two runs. Events are written in the caller's thread.
tensorboardX's `SummaryWriter` is not used: its thread dies when the disk is full, then
its queue fills up, and training waits forever.
"""

from __future__ import annotations

import logging
import math
import os
import pathlib
import time
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn import checks
from keras_dqn.monitor import rates
from keras_dqn.monitor.base import Monitor

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


_LOG = logging.getLogger(__name__)
_FLUSH_SECONDS = 10.0
_HISTOGRAM_BINS = 32


class TensorBoard(Monitor):
    """Writes scalars, a picture of the best episode, and histograms.

    The scalars are `fps`, `q`, `q_std`, `td_error`, `reward_mean`, `length_mean`,
    `exploration` and `beta`, as in the reference implementation, and `loss`,
    `best_reward` and `updates_per_second`. `fps` is agent steps, not emulator frames,
    per second of sampling and training. Values that are unknown or not finite are
    left out. If a file cannot be written, a warning is logged once, and training
    goes on without event files. Existing event files are never deleted.

    Args:
        directory: Path of the directory of event files.
        histogram_directory: Path of the directory of event files with histograms.
            `None` is `histograms` inside `directory`.
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
        self._directory = pathlib.Path(directory)
        self._histogram_directory = pathlib.Path(
            histogram_directory or self._directory / "histograms"
        )
        self._log_interval = checks.integer(
            "log_interval_iterations", log_interval_iterations, minimum=1
        )
        self._files: dict[pathlib.Path, Any] = {}
        self._purge_step: int | None = None
        self._is_on = self._has_warned = False

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`. TensorBoard hides records at `env_steps` or later."""
        if self._is_on:
            raise RuntimeError("`resume` must be called before `start`.")
        self._purge_step = int(env_steps)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._interval = rates.IntervalRates()
        self._best_frame = None
        self._is_on = True
        self._write(self._directory, 0, [])
        # Old histograms are hidden even if the resumed run writes no new ones.
        if self._purge_step is not None and self._histogram_directory.is_dir():
            self._write(self._histogram_directory, 0, [])

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if not self._is_on:
            return
        self._interval.add(progress)
        if progress.iteration % self._log_interval == 0:
            summaries = _scalars(progress, *self._interval.take())
            summaries += self._new_picture(progress.best_frame)
            self._write(self._directory, progress.env_steps, summaries)
        if progress.histogram_q is not None:
            summaries = _histograms(progress)
            self._write(self._histogram_directory, progress.env_steps, summaries)

    def close(self) -> None:
        """See `Monitor.close`."""
        self._is_on = False
        self._purge_step = None
        files, self._files = self._files, {}
        for file in files.values():
            try:
                file.close()
            except OSError as error:
                self._warn(error)

    def _write(self, directory, env_steps, summaries):
        """Writes summaries, and opens the file first if it is not open yet."""
        if not self._is_on:
            return
        try:
            if directory not in self._files:
                self._files[directory] = _EventFile(directory, self._purge_step)
            for summary in summaries:
                self._files[directory].write(step=env_steps, summary=summary)
        except OSError as error:
            self._warn(error)
            self._is_on = False

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

    def __init__(self, directory, purge_step):
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
        if purge_step is not None:
            log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self.write(step=purge_step, session_log=log)

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


def _scalars(progress, env_steps_per_second, updates_per_second):
    """Returns a summary for each value that is known and finite."""
    from tensorboardX import summary

    trained = progress.is_training
    values = {
        "fps": env_steps_per_second,
        "q": progress.q_mean,
        "q_std": progress.q_std,
        "td_error": progress.td_error,
        "reward_mean": progress.score_mean,
        "length_mean": progress.length_mean,
        "exploration": progress.epsilon,
        "beta": progress.beta,
        "loss": progress.loss,
        "best_reward": progress.best_score,
        "updates_per_second": updates_per_second if trained else None,
    }
    return [
        summary.scalar(tag, value)
        for tag, value in values.items()
        if value is not None and math.isfinite(value)
    ]


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
