"""Saves checkpoints during training and reports the result of each save."""

from __future__ import annotations

import math
import pathlib
import shutil
import time
from collections.abc import Callable
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from keras_dqn import checkpoint
from keras_dqn.config import Settings
from keras_dqn.monitor.jsonl import last_env_steps
from keras_dqn.runs.directory import RunDirectory

MOST_FAILURES = 3  # failed saves in a row that end the run
_RETRY = 1 / 10  # fraction of the interval before a failed save is repeated


class RunCheckpoints:
    """The checkpoints of a run, which a thread writes while training continues.

    A failed save is reported, and training continues. After three failures in a row
    the run ends. At its end, the context manager waits for the current save, or stops
    it on `KeyboardInterrupt`.

    Args:
        directory: `pathlib.Path` of the checkpoints.
        log: Function that shows a line of text.
        warn: Function that shows a warning. Default: `log`.
        interval_minutes: Float, longest time between the starts of two saves, or
            `None` for no limit.
        clock: Monotonic clock: a function that returns seconds.

    Attributes:
        newest: Integer, agent steps of the newest checkpoint saved by this object, or
            `None`.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        log: Callable[[str], None],
        warn: Callable[[str], None] | None = None,
        interval_minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # `Store` also keeps the newest checkpoint for which this function is true.
        self._store = checkpoint.Store(directory, lambda meta: meta.get("exact"))
        self._log, self._warn = log, warn or log
        self.newest: int | None = None
        self._saving: checkpoint.Saving | None = None
        self._saving_at: int | None = None  # agent steps
        self._steps = 0  # steps in every environment since the save began
        self._failures = 0
        self._is_first = True
        self._interval = None if interval_minutes is None else 60.0 * interval_minutes
        self._clock = clock
        self._began_at = clock()  # start of the last save, or of training

    def prepare(self, nbytes: int) -> None:
        """Removes unfinished saves, and warns if the disk may be too small.

        Args:
            nbytes: Integer, bytes of a checkpoint when the replay is full.
        """
        for name in self._store.clean():
            self._log(f"Removed an unfinished save: {name}")
        directory = self._store.directory
        old = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
        free = shutil.disk_usage(directory.parent).free
        self._log(
            f"Checkpoints: up to {_size(nbytes)} each. The last {checkpoint.KEEP} and "
            f"the last exact one are kept. Free disk space: {_size(free)}"
        )
        needed = (
            checkpoint.KEEP + 2
        ) * nbytes  # the exact one, and the one that is being written
        if needed > free + old:
            self._log(
                f"Warning: during a save, checkpoints can take {_size(needed)}. If the "
                "disk is full, training continues without a new checkpoint"
            )
        self._began_at = self._clock()

    def load(
        self,
        is_wanted: Callable[[dict[str, Any]], Any] | None,
        limits: Mapping[str, Any],
    ) -> checkpoint.Loaded | None:
        """See `checkpoint.Store.load`."""
        return self._store.load(is_wanted, limits)

    def is_due(self) -> bool:
        """Whether `interval_minutes` have passed since the last save began.

        After a failed save, a tenth of that time is enough. During a save it is false.
        """
        if self._interval is None or self._saving is not None:
            return False
        wait = self._interval * (_RETRY if self._failures else 1)
        return self._clock() - self._began_at >= wait

    def begin(
        self, env_steps: int, parts: Mapping[str, Any], meta: dict[str, Any]
    ) -> None:
        """Waits for the previous save, and begins to save the current state.

        All arrays are copied except for the frames of the replay. Call
        `wait_until_written` before frames are overwritten.

        Args:
            env_steps, parts, meta: See `checkpoint.Store.begin`.

        Raises:
            CheckpointError: See `poll`.
        """
        self._finish()
        replay = dict(parts["replay"])
        ring = checkpoint.Ring(replay["frames"], int(replay["time"]))
        replay["frames"] = ring
        self._steps, self._saving_at = 0, env_steps
        self._began_at = self._clock()
        self._saving = self._store.begin(env_steps, {**parts, "replay": replay}, meta)
        if self._is_first:
            self._is_first = False
            self._log_estimate()

    def wait_until_written(self, steps: int) -> None:
        """Waits until the replay may store `steps` more steps of every environment.

        Args:
            steps: Integer, steps in every environment in the next iteration.
        """
        if self._saving is not None:
            self._steps += steps
            self._saving.wait_until_written(self._steps)

    def poll(self) -> None:
        """Reports the current save, if it has ended.

        Raises:
            CheckpointError: After three failed saves in a row.
        """
        if self._saving is not None and self._saving.is_over:
            self._finish()

    def finish(self) -> None:
        """Waits for the current save and reports it. A failure does not raise."""
        try:
            self._finish()
        except checkpoint.CheckpointError as error:
            self._warn(str(error))

    def __enter__(self) -> RunCheckpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            if self._saving is not None:
                self._saving.stop()
        else:
            self.finish()

    def _finish(self):
        if self._saving is None:
            return
        try:
            path = self._saving.result()
            notes = self._saving.notes
        except KeyboardInterrupt:  # `__exit__` stops the thread
            raise
        except OSError as error:
            self._saving = None
            self._failures += 1
            self._warn(f"Could not save a checkpoint: {error}")
            if self._failures >= MOST_FAILURES:
                raise checkpoint.CheckpointError(
                    f"{self._failures} checkpoints in a row could not be saved. Last "
                    f"error: {error}"
                ) from error
        except BaseException:
            self._saving = None
            raise
        else:
            self._saving = None
            self._failures, self.newest = 0, self._saving_at
            self._log(f"Saved checkpoint: {path}")
            for note in notes:
                self._warn(f"Warning: {note}")

    def _log_estimate(self):
        """Logs the size of the first checkpoint and the estimated time to write it."""
        self._saving.wait_until_written(1)
        seconds = self._saving.seconds_left()
        estimate = "" if seconds is None else f", about {max(0.0, seconds):.0f} s"
        self._log(f"First checkpoint: {_size(self._saving.nbytes)} to write{estimate}")


def check_none_lost(directory: RunDirectory, settings: Settings) -> None:
    """Checks that a run without checkpoints has not saved any.

    The second save waits for the first one. So there was a checkpoint if the run has
    lasted for two intervals, or has saved its network.

    Args:
        directory: `RunDirectory`.
        settings: `Settings`.

    Raises:
        CheckpointError: If checkpoints must have been deleted.
    """
    log = directory.metrics
    logged = last_env_steps(log)
    second = 2 * settings.checkpoint_interval_iterations
    minutes = 2 * (settings.checkpoint_interval_minutes or math.inf)
    if logged >= second * settings.env_steps_per_iteration:
        evidence = log.name
    elif logged and _minutes_between(directory.settings, log) >= minutes:
        evidence = log.name
    elif logged and directory.network.exists():  # saved only after a checkpoint
        evidence = directory.network.name
    else:
        return
    raise checkpoint.CheckpointError(
        f"There is no checkpoint in {directory.checkpoints}, but {evidence} shows that "
        "one was saved. Restore it, or train in a new directory"
    )


def _minutes_between(settings, log):
    """Returns for how many minutes a run has trained, by the times of its files."""
    return (log.stat().st_mtime - settings.stat().st_mtime) / 60


def _size(nbytes):
    """Returns a size as text, such as "7.06 GB", with powers of ten."""
    for unit in ("bytes", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.2f} GB"
