"""Event files for TensorBoard, under the seed's tags.

Scalars and the picture go to one run directory, histograms to another. The
events are written at once and in the caller's thread: a writer thread that
dies on a full disk would leave the training waiting for its queue.
"""

import importlib
import logging
import math
import os
import pathlib
import time

import numpy as np

from keras_dqn import checks
from keras_dqn.monitor import rates
from keras_dqn.monitor.base import Monitor
from keras_dqn.monitor.image import png

_LOG = logging.getLogger(__name__)
_FLUSH_SECONDS = 10.0
_HISTOGRAM_BINS = 32


class TensorBoard(Monitor):
    """Writes scalars, the best episode's last picture, and histograms.

    The scalars are `fps` (agent steps per second of sampling and training, not
    emulator frames), `q`, `q_std`, `td_error`, `reward_mean`, `length_mean`,
    `exploration` and `beta`, which are the seed's, and `loss`, `best_reward` and
    `updates_per_second`. Values that are not known or not finite are left out.
    Old event files are never deleted.

    Args:
        directory: Path of the run directory.
        histogram_directory: Path of the histograms' own run directory. `None`
            is `histograms` inside `directory`.
        log_interval_iterations: Int, at least 1. Iterations between two events.

    Raises:
        ImportError: If tensorboardX is not installed.
    """

    def __init__(self, directory, histogram_directory=None, log_interval_iterations=10):
        _tensorboardx("event_file_writer")
        self._directory = pathlib.Path(directory)
        self._histogram_directory = pathlib.Path(
            histogram_directory or self._directory / "histograms"
        )
        self._log_interval = checks.integer(
            "log_interval_iterations", log_interval_iterations, minimum=1
        )
        self._files = {}
        self._purge_env_steps = None
        self._is_on = False
        self._has_warned = False

    def resume(self, env_steps):
        """See `Monitor.resume`. TensorBoard hides what is withdrawn."""
        if self._is_on:
            raise RuntimeError("`resume` must be called before `start`.")
        self._purge_env_steps = int(env_steps)

    def start(self, info):
        """See `Monitor.start`."""
        self._interval = rates.IntervalRates()
        self._best_frame = None
        self._is_on = True
        # A resumed run withdraws old histograms even if it draws no new ones.
        resumes = self._purge_env_steps is not None
        self._attempt(self._open, self._directory)
        if resumes and self._histogram_directory.is_dir():
            self._attempt(self._open, self._histogram_directory)

    def write(self, progress):
        """See `Monitor.write`."""
        if not self._is_on:
            return
        self._interval.add(progress)
        if progress.iteration % self._log_interval == 0:
            values = _scalars(progress, *self._interval.take())
            image = self._new_picture(progress.best_frame)
            summary = _summary(values, image)
            self._attempt(self._add, self._directory, summary, progress.env_steps)
        if progress.histogram_q is not None:
            summary = _histograms(progress)
            at = progress.env_steps
            self._attempt(self._add, self._histogram_directory, summary, at)

    def close(self):
        """See `Monitor.close`."""
        self._is_on = False
        self._purge_env_steps = None
        files, self._files = self._files, {}
        for file in files.values():
            try:
                file.close()
            except (OSError, ValueError) as error:
                self._warn(error)

    def _new_picture(self, frame):
        """The frame, if it is a picture that was not written yet."""
        if frame is None or frame.ndim != 2 or frame.dtype != np.uint8:
            return None
        if self._best_frame is not None and np.array_equal(frame, self._best_frame):
            return None
        self._best_frame = frame.copy()
        return self._best_frame

    def _attempt(self, action, *arguments):
        """Does it. If the disk does not let us, TensorBoard is off from here on."""
        if not self._is_on:
            return
        try:
            action(*arguments)
        except OSError as error:
            self._warn(error)
            self._is_on = False

    def _warn(self, error):
        if self._has_warned:
            return
        self._has_warned = True
        _LOG.warning(
            "Cannot write TensorBoard's files in %s (%s). "
            "The training goes on without them.",
            self._directory,
            error,
        )

    def _open(self, directory):
        if directory not in self._files:
            self._files[directory] = _EventFile(directory, self._purge_env_steps)
        return self._files[directory]

    def _add(self, directory, summary, env_steps):
        self._open(directory).add(summary, env_steps)


class _EventFile:
    """One new event file in `directory`, flushed every few seconds."""

    def __init__(self, directory, purge_env_steps):
        directory.mkdir(parents=True, exist_ok=True)
        # Names hold the second only; a second file in it must not replace it.
        count = len(list(directory.glob("events.out.tfevents.*")))
        suffix = f".{count:04}.{os.getpid()}.keras_dqn"
        self._events = _tensorboardx("proto.event_pb2")
        writer = _tensorboardx("event_file_writer")
        self._writer = writer.EventsWriter(str(directory / "events"), suffix)
        self._next_flush = 0.0
        if purge_env_steps is not None:
            self._purge(purge_env_steps)

    def add(self, summary, env_steps):
        """Writes one event."""
        event = self._events.Event(summary=summary)
        event.step, event.wall_time = env_steps, time.time()
        self._writer.write_event(event)
        now = time.monotonic()
        if now >= self._next_flush:
            self._writer.flush()
            self._next_flush = now + _FLUSH_SECONDS

    def close(self):
        """Writes what is left."""
        self._writer.close()

    def _purge(self, env_steps):
        log = self._events.SessionLog(status=self._events.SessionLog.START)
        event = self._events.Event(session_log=log)
        event.step, event.wall_time = env_steps, time.time()
        self._writer.write_event(event)


def _tensorboardx(module):
    """Imports a module of tensorboardX, or says how to install it."""
    try:
        return importlib.import_module(f"tensorboardX.{module}")
    except ImportError as error:
        raise ImportError(
            "TensorBoard's files are written by tensorboardX, which cannot be "
            f'imported ({error}). Run: pip install "keras_dqn[tensorboard]"'
        ) from error


def _scalars(progress, env_steps_per_second, updates_per_second):
    trained = progress.is_training
    return {
        "fps": env_steps_per_second,
        "q": progress.q_mean,
        "q_std": progress.q_std,
        "td_error": progress.td_error,
        "reward_mean": progress.score_mean,
        "length_mean": progress.length_mean,
        "exploration": progress.epsilon,
        "beta": progress.beta,
        "loss": progress.loss if trained else None,
        "best_reward": progress.best_score,
        "updates_per_second": updates_per_second if trained else None,
    }


def _summary(values, image):
    summary = _tensorboardx("proto.summary_pb2").Summary()
    for tag, value in values.items():
        if value is not None and math.isfinite(value):
            summary.value.add(tag=tag, simple_value=value)
    if image is not None:
        picture = summary.value.add(tag="observation").image
        picture.height, picture.width = image.shape
        picture.colorspace = 1
        picture.encoded_image_string = png(image)
    return summary


def _histograms(progress):
    summary = _tensorboardx("proto.summary_pb2").Summary()
    make_histogram = _tensorboardx("summary").make_histogram
    for tag, values in (
        ("q", progress.histogram_q),
        ("q_update", progress.histogram_targets),
    ):
        values = np.asarray(values if values is not None else [], "float64").ravel()
        values = values[np.isfinite(values)]
        if values.size:
            histogram = make_histogram(values, bins=_HISTOGRAM_BINS)
            summary.value.add(tag=tag).histo.CopyFrom(histogram)
    return summary
