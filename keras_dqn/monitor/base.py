"""The interface of a monitor, and a monitor that combines several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING
from typing import Self

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


class Monitor:
    """Shows or stores the records of a run. This one does nothing.

    Call `resume` (only if a run is resumed from a checkpoint) and `start`, then
    `write` once per iteration, then `close`. A monitor that can no longer write
    (a full disk, a closed pipe) reports it once, and training goes on.
    """

    def resume(self, env_steps: int) -> None:
        """Prepares for a run that is resumed at `env_steps`. Call it before `start`.

        Records at `env_steps` or later are deleted or hidden, so that no step is in
        the log twice. An evaluation during training is kept at `env_steps`: it was
        played before the checkpoint was saved.

        Args:
            env_steps: Int, agent steps, those of the next record.
        """

    def start(self, info: RunInfo) -> None:
        """Receives the description of the run, before the first record.

        Args:
            info: `RunInfo`.
        """

    def write(self, progress: Progress) -> None:
        """Receives the record of one iteration.

        Args:
            progress: `keras_dqn.progress.Progress`.
        """

    def message(self, text: str) -> None:
        """Shows a line of text, such as "Saved checkpoint".

        Args:
            text: String.
        """

    def phase(self, name: str) -> None:
        """Receives what the run does from now on. It may be called repeatedly.

        Args:
            name: `"filling"` (the replay), `"compiling"` (the first update),
                `"training"`, `"saving"` or `"evaluating"`.
        """

    def games(self, done: int, total: int) -> None:
        """Receives how many games of an evaluation have ended, while it is played.

        Args:
            done: Int, games that have ended.
            total: Int, games of the evaluation.
        """

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """Receives the result of an evaluation.

        An evaluation that a stop aborted is played again before `start`, and the final
        evaluation is played after `close`.

        Args:
            env_steps: Int, agent steps taken.
            result: `keras_dqn.evaluation.Evaluation`.
            is_final: Boolean, whether it was played after the training.
        """

    def close(self) -> None:
        """Closes files and releases the terminal. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Monitors(Monitor):
    """Sends every call to several monitors, in their order.

    All of them are closed, even if one of them raises an error when it is closed.

    Args:
        monitors: Iterable of `Monitor`.
    """

    def __init__(self, monitors: Iterable[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`."""
        for monitor in self._monitors:
            monitor.resume(env_steps)

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`. If one of them raises an error, all are closed."""
        try:
            for monitor in self._monitors:
                monitor.start(info)
        except BaseException:
            self.close()
            raise

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        for monitor in self._monitors:
            monitor.write(progress)

    def message(self, text: str) -> None:
        """See `Monitor.message`."""
        for monitor in self._monitors:
            monitor.message(text)

    def phase(self, name: str) -> None:
        """See `Monitor.phase`."""
        for monitor in self._monitors:
            monitor.phase(name)

    def games(self, done: int, total: int) -> None:
        """See `Monitor.games`."""
        for monitor in self._monitors:
            monitor.games(done, total)

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """See `Monitor.evaluation`."""
        for monitor in self._monitors:
            monitor.evaluation(env_steps, result, is_final)

    def close(self) -> None:
        """See `Monitor.close`."""
        with contextlib.ExitStack() as stack:
            for monitor in reversed(self._monitors):
                stack.callback(monitor.close)
