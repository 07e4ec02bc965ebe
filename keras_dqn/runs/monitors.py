"""The monitors of a run: console, `metrics.jsonl` and event files."""

from __future__ import annotations

from keras_dqn.config import Settings
from keras_dqn.evaluation import Evaluation
from keras_dqn.monitor import JsonLines
from keras_dqn.monitor import Monitors
from keras_dqn.monitor import RunInfo
from keras_dqn.monitor import TensorBoard
from keras_dqn.monitor import make_console
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

    Raises:
        ImportError: If `tensorboard` is true and tensorboardX is not installed.
    """

    def __init__(
        self,
        directory: RunDirectory,
        settings: Settings,
        console: str,
        tensorboard: bool,
    ) -> None:
        interval = settings.log_interval_iterations
        self._log = JsonLines(directory.metrics, interval)
        self._boards = (
            [TensorBoard(directory.path, log_interval_iterations=interval)]
            if tensorboard
            else []
        )
        self._hidden: dict | None = None  # an evaluation that TensorBoard hides
        screen = make_console(console, log_interval_iterations=interval)
        super().__init__([screen, self._log, *self._boards])

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`."""
        super().resume(env_steps)
        self._hidden = self._log.kept_evaluation
        for board in self._boards:
            board.training_seconds = self._log.training_seconds

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

    def _show_hidden(self):
        record, self._hidden = self._hidden, None
        for board in self._boards:
            if record is not None:
                board.put(record)
