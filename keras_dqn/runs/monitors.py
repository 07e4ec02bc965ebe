"""The monitors of a run: console, `metrics.jsonl`, event files, and those given."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from keras_dqn import checks
from keras_dqn.config import Settings
from keras_dqn.evaluation import Evaluation
from keras_dqn.monitor import JsonLines
from keras_dqn.monitor import Monitor
from keras_dqn.monitor import Monitors
from keras_dqn.monitor import PlainConsole
from keras_dqn.monitor import RunInfo
from keras_dqn.monitor import TensorBoard
from keras_dqn.monitor import make_console
from keras_dqn.monitor.bar import games_bar
from keras_dqn.monitor.records import Records
from keras_dqn.runs.directory import RunDirectory


class RunMonitors(Monitors):
    """Sends every call to the monitors of a run.

    When a run is resumed, event files get from `metrics.jsonl` what they do not know:
    the seconds of training, and the evaluation before the checkpoint, which
    TensorBoard hides together with later records.

    Args:
        directory: `RunDirectory`.
        settings: `Settings`.
        console: String, see `monitor.make_console`.
        tensorboard: Boolean, whether to write event files.
        resumes: Boolean, whether the run is resumed. It goes on with its event files.
        monitors: List or tuple of further `Monitor`s.

    Attributes:
        warning: String, why event files are not continued, or `None`.
        shows_games: Boolean, whether the console shows the games of an evaluation.
            True during `DQNAgent.fit`.

    Raises:
        ImportError: If `tensorboard` is true and tensorboardX is not installed.
        TypeError: If `monitors` are no monitors.
    """

    def __init__(
        self,
        directory: RunDirectory,
        settings: Settings,
        console: str,
        tensorboard: bool,
        resumes: bool = False,
        monitors: Sequence[Monitor] = (),
    ) -> None:
        _check_all_monitors(monitors)
        interval = settings.log_interval_iterations
        self._log = JsonLines(directory.metrics, interval)
        self.warning: str | None = None
        self._boards: list[TensorBoard] = []
        if tensorboard or (resumes and has_event_files(directory)):
            try:
                board = TensorBoard(directory.path, log_interval_iterations=interval)
                self._boards.append(board)
            except ImportError as error:
                if tensorboard:
                    raise
                self.warning = f"Warning: the event files are not continued. {error}"
        self._mode = console
        self._is_open = True
        self.shows_games = False
        self._hidden: dict[str, Any] | None = None  # an evaluation, by TensorBoard
        self._others = [*self._boards, *monitors]
        screen = make_console(console, None, interval, directory.metrics)
        super().__init__([screen, self._log, *self._others])

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`."""
        super().resume(env_steps)
        self._hidden = self._log.kept_evaluation
        for monitor in self._others:
            if isinstance(monitor, Records):
                monitor.training_seconds = self._log.training_seconds

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        super().start(info)
        self._show_hidden()

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """See `Monitor.evaluation`."""
        if not is_final:
            self._hidden = None  # it was played again
        super().evaluation(env_steps, result, is_final)
        self._show_hidden()

    def close(self) -> None:
        """See `Monitor.close`."""
        self._is_open = self.shows_games = False
        super().close()

    def log(self, text: str) -> None:
        """Shows a line of text: on the console, or standard output after `close`."""
        (self if self._is_open else PlainConsole()).message(text)

    def warn(self, text: str) -> None:
        """Shows a line of text, on standard error if the console is "none"."""
        is_quiet = self._mode == "none"
        (PlainConsole(sys.stderr).message if is_quiet else self.log)(text)

    def games_shown(self) -> AbstractContextManager[Callable[[int, int], Any] | None]:
        """A context with the argument `on_game` for `DQNAgent.evaluate`."""
        if not self.shows_games:
            return games_bar(self._mode)
        self.phase("evaluating")
        return contextlib.nullcontext(self.games)

    def _show_hidden(self):
        record, self._hidden = self._hidden, None
        for board in self._boards:
            if record is not None:
                board.put(record)


def has_event_files(directory: RunDirectory) -> bool:
    """Whether a run directory has event files of TensorBoard.

    Args:
        directory: `RunDirectory`.
    """
    return any(directory.path.glob("events.out.tfevents.*"))


def _check_all_monitors(monitors):
    if not isinstance(monitors, list | tuple):
        shown = checks.shown(monitors)
        rule = "a list of `Monitor`s"
        raise checks.wrong_kind("monitors", rule, monitors, f"[{shown}]")
    for i, monitor in enumerate(monitors):
        if not isinstance(monitor, Monitor):
            instead = "keras_dqn.monitor.Sink(...)"
            raise checks.wrong_kind(f"monitors[{i}]", "a `Monitor`", monitor, instead)
