"""Saves a run on the way, and says what it does."""

import shutil
import time

from keras_dqn import checkpoint
from keras_dqn.monitor import PlainConsole

MOST_FAILURES = 3  # saves in a row, after which the run ends
_RETRY = 1 / 10  # of the interval, after which a failed save is tried again


class RunCheckpoints:
    """The checkpoints of a run: written while it goes on, tried again if they fail.

    Args:
        directory: `pathlib.Path` of the checkpoints.
        say: Function that shows a line of text.
        alarm: The same, for saves that failed. By default `say`.
        interval_minutes: Float, longest time between the beginnings of two saves, or
            `None` for no limit.
        clock: Function that returns seconds, and never goes back.

    Attributes:
        newest: Integer, agent steps of the last checkpoint that was saved here, or
            `None`.
    """

    def __init__(
        self, directory, say, alarm=None, interval_minutes=None, clock=time.monotonic
    ):
        # The last one to go on from exactly stays, whatever was saved since.
        self._store = checkpoint.Store(directory, lambda meta: meta.get("exact"))
        self._say, self._alarm = say, alarm or say
        self.newest = None
        self._saving = None
        self._saving_at = None  # agent steps
        self._steps = 0  # of every environment since the save began
        self._failures = 0
        self._is_first = True
        self._interval = None if interval_minutes is None else 60.0 * interval_minutes
        self._clock = clock
        self._began_at = clock()  # the last save, or the training

    def prepare(self, nbytes):
        """Tidies up after a save that was broken off, and looks at the disk.

        Args:
            nbytes: Integer, the bytes of a checkpoint when the replay is full.
        """
        for name in self._store.clean():
            self._say(f"Removed what a save that was broken off had left: {name}")
        directory = self._store.directory
        old = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
        free = shutil.disk_usage(directory.parent).free
        self._say(
            f"Checkpoints: up to {_size(nbytes)} each. The last {checkpoint.KEEP} are "
            f"kept, and the last exact one; {_size(free)} of disk are free"
        )
        needed = (checkpoint.KEEP + 2) * nbytes  # with the one that is being written
        if needed > free + old:
            self._say(
                f"Warning: while one is written they can take {_size(needed)}. Where "
                "the disk is full, the training goes on without a new checkpoint"
            )

    def is_empty(self):
        """Whether there is no checkpoint at all."""
        return self._store.is_empty()

    def load(self, is_wanted, limits):
        """See `checkpoint.Store.load`."""
        return self._store.load(is_wanted, limits)

    def is_due(self):
        """Whether it is time for a checkpoint, whatever the iteration.

        Not while one is being written. After one that failed, the next is due soon.
        """
        if self._interval is None or self._saving is not None:
            return False
        wait = self._interval * (_RETRY if self._failures else 1)
        return self._clock() - self._began_at >= wait

    def begin(self, env_steps, parts, meta):
        """Begins to save what is there now. What is small is copied.

        Args:
            env_steps, parts, meta: See `checkpoint.Store.begin`. The frames of the
                replay, which are not copied, are looked after by `wait_until_written`.

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
            self._announce()

    def wait_until_written(self, steps):
        """Waits until `steps` more steps of every environment may be stored.

        Only what is about to be overwritten must be on the disk. Call it before
        every iteration.
        """
        if self._saving is not None:
            self._steps += steps
            self._saving.wait_until_written(self._steps)

    def poll(self):
        """Says how the save went, if it is over.

        Raises:
            CheckpointError: If it failed, as those before it.
        """
        if self._saving is not None and self._saving.is_over:
            self._finish()

    def finish(self, say):
        """Waits for the save that is under way. From now on, `say` is used.

        Failures are said, and no more: what was saved before is all there is.
        """
        self._say = self._alarm = say
        try:
            self._finish()
        except checkpoint.CheckpointError as error:
            say(str(error))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        """Waits for the save that is under way, unless all is to end at once."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            if self._saving is not None:
                self._saving.stop()
        else:
            self.finish(PlainConsole().message)

    def _finish(self):
        if self._saving is None:
            return
        try:
            path = self._saving.result()
            notes = self._saving.notes
        except KeyboardInterrupt:  # it goes on, and `__exit__` stops it
            raise
        except OSError as error:  # training goes on; what was saved before stays
            self._saving = None
            self._failures += 1
            self._alarm(f"Could not save a checkpoint: {error}")
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
            self._say(f"Saved model: {path}")
            for note in notes:
                self._alarm(f"Warning: {note}")

    def _announce(self):
        self._saving.wait_until_written(1)
        seconds = self._saving.seconds_left()
        estimate = "" if seconds is None else f", about {max(0.0, seconds):.0f} s"
        self._say(f"First checkpoint: {_size(self._saving.nbytes)} to write{estimate}")


def _size(nbytes):
    """`7.06 GB`: as disks are sold, in powers of ten."""
    for unit in ("bytes", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.2f} GB"
