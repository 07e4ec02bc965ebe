"""Saves checkpoints while the run trains, and reports what became of each."""

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

MOST_FAILURES = 3  # saves in a row, after which the run ends
_RETRY = 1 / 10  # of the interval, after which a failed save is tried again


class RunCheckpoints:
    """The checkpoints of a run. Each is written by a thread while training continues.

    A save that fails is reported, and the next one is tried as if nothing had
    happened; after three failures in a row the run ends. As a context manager it
    waits for the save under way, or stops it on `KeyboardInterrupt`.

    Args:
        directory: `pathlib.Path` of the checkpoints.
        log: Function that shows a line of text.
        warn: The same, for saves that failed. Default: `log`.
        interval_minutes: Float, longest time between the beginnings of two saves, or
            `None` for no limit.
        clock: Function that returns seconds, and never goes back.

    Attributes:
        newest: Integer, agent steps of the newest checkpoint that was saved here, or
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
        # `Store` keeps the newest exactly resumable checkpoint besides the others.
        self._store = checkpoint.Store(directory, lambda meta: meta.get("exact"))
        self._log, self._warn = log, warn or log
        self.newest: int | None = None
        self._saving: checkpoint.Saving | None = None
        self._saving_at: int | None = None  # agent steps
        self._steps = 0  # of every environment since the save began
        self._failures = 0
        self._is_first = True
        self._interval = None if interval_minutes is None else 60.0 * interval_minutes
        self._clock = clock
        self._began_at = clock()  # the last save, or the training

    def prepare(self, nbytes: int) -> None:
        """Removes what an interrupted save left, and compares sizes with the disk.

        Args:
            nbytes: Integer, bytes of a checkpoint when the replay is full.
        """
        for name in self._store.clean():
            self._log(f"Removed an unfinished save: {name}")
        directory = self._store.directory
        old = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
        free = shutil.disk_usage(directory.parent).free
        self._log(
            f"Checkpoints: up to {_size(nbytes)} each. The last {checkpoint.KEEP} are "
            f"kept, and the last exact one; {_size(free)} of disk are free"
        )
        needed = (checkpoint.KEEP + 2) * nbytes  # with the one that is being written
        if needed > free + old:
            self._log(
                f"Warning: while one is written they can take {_size(needed)}. Where "
                "the disk is full, the training continues without a new checkpoint"
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

        Not while one is being written. After a failure, a tenth of it is enough.
        """
        if self._interval is None or self._saving is not None:
            return False
        wait = self._interval * (_RETRY if self._failures else 1)
        return self._clock() - self._began_at >= wait

    def begin(
        self, env_steps: int, parts: Mapping[str, Any], meta: dict[str, Any]
    ) -> None:
        """Begins to save the present state, after the save before has ended.

        All arrays are copied but the frames of the replay. Before these are
        overwritten, `wait_until_written` must be called.

        Args:
            env_steps, parts, meta: See `checkpoint.Store.begin`.

        Raises:
            CheckpointError: As `poll`.
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
            steps: Integer, those of the next iteration.
        """
        if self._saving is not None:
            self._steps += steps
            self._saving.wait_until_written(self._steps)

    def poll(self) -> None:
        """Reports the save under way, if it has ended.

        Raises:
            CheckpointError: If it failed, and those before it.
        """
        if self._saving is not None and self._saving.is_over:
            self._finish()

    def finish(self) -> None:
        """Waits for the save under way and reports it. Does not raise if it failed."""
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
        except KeyboardInterrupt:  # the thread is still writing: `__exit__` stops it
            raise
        except OSError as error:  # the training continues, with the old checkpoints
            self._saving = None
            self._failures += 1
            self._warn(f"Could not save a checkpoint: {error}")
            if self._failures >= MOST_FAILURES:
                raise checkpoint.CheckpointError(
                    f"{self._failures} checkpoints in a row could not be saved. The "
                    f"last time: {error}"
                ) from error
        except BaseException:
            self._saving = None
            raise
        else:
            self._saving = None
            self._failures, self.newest = 0, self._saving_at
            self._log(f"Saved model: {path}")
            for note in notes:
                self._warn(f"Warning: {note}")

    def _log_estimate(self):
        """Says how much the first checkpoint writes, and how long that may take."""
        self._saving.wait_until_written(1)
        seconds = self._saving.seconds_left()
        estimate = "" if seconds is None else f", about {max(0.0, seconds):.0f} s"
        self._log(f"First checkpoint: {_size(self._saving.nbytes)} to write{estimate}")


def check_none_lost(directory: RunDirectory, settings: Settings) -> None:
    """Refuses to start anew where checkpoints must have been deleted.

    A run that is killed during its first save has none. The second save, which is due
    one interval later, waits for the first.

    Args:
        directory: `RunDirectory`.
        settings: `Settings`.

    Raises:
        CheckpointError: If the log or the network shows that there was a checkpoint.
    """
    log = directory.metrics
    logged = last_env_steps(log)
    second = 2 * settings.checkpoint_interval_iterations
    minutes = 2 * (settings.checkpoint_interval_minutes or math.inf)
    if logged >= second * settings.env_steps_per_iteration:
        witness = log.name
    elif logged and _minutes_between(directory.settings, log) >= minutes:
        witness = log.name
    elif logged and directory.network.exists():  # saved after a checkpoint
        witness = directory.network.name
    else:
        return
    raise checkpoint.CheckpointError(
        f"There is no checkpoint in {directory.checkpoints}, but by {witness} there "
        "must have been one. Restore it, or train in a new directory"
    )


def _minutes_between(settings, log):
    """For how long a run has written its log, by the times of both files."""
    return (log.stat().st_mtime - settings.stat().st_mtime) / 60


def _size(nbytes):
    """`7.06 GB`: in powers of ten, as disks are sold."""
    for unit in ("bytes", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.2f} GB"
