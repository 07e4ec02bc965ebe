"""What a run does now, how fast, and for how long: the contents of a live display."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn.monitor import panel
from keras_dqn.monitor import rates
from keras_dqn.monitor.history import Past
from keras_dqn.monitor.history import read_past

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress

_PACE_WINDOWS = 6  # the time left is estimated over this many rate windows


class Status:
    """Collects the records of a run. `panel` returns them as a rich renderable.

    The methods are those of `Monitor`.

    Args:
        window_seconds: Float. Rates are averages over this many seconds of training.
        clock: Function without arguments that returns monotonic seconds.
        metrics: Path of the run's `metrics.jsonl`, from which `resume` reads what
            was before, or `None`.
    """

    def __init__(
        self,
        window_seconds: float,
        clock: Callable[[], float],
        metrics: str | os.PathLike[str] | None = None,
    ) -> None:
        self._clock, self._metrics = clock, metrics
        self._work = rates.SlidingRate(window_seconds)
        self._pace = rates.SlidingRate(_PACE_WINDOWS * window_seconds)
        self._past = Past()
        self.progress: Progress | None = None

    def resume(self, env_steps: int) -> None:
        self._past = read_past(self._metrics, env_steps)

    def start(self, info: RunInfo) -> None:
        self._info = info
        self.progress = None
        self._phase: str | None = None
        self._end: str | None = None
        self._games: tuple[int, int] | None = None
        self._evaluation: tuple[int, Evaluation] | None = None
        self._started, self._work_seconds = self._clock(), 0.0
        self._was_training = False
        past, self._past = self._past, Past()
        self._past_seconds = past.seconds
        self._scores, self._losses = past.scores, past.losses
        self._work.clear()
        self._pace.clear()

    def write(self, progress: Progress) -> None:
        self._work_seconds += progress.seconds
        self.progress = progress
        self._scores.add(progress.score_mean)
        self._losses.add(progress.loss)
        if progress.is_training != self._was_training:
            # Filling the replay and compiling are no guide to the rates.
            self._was_training = progress.is_training
            self._work.clear()
            self._pace.clear()
            self.update_rates()

    def phase(self, name: str) -> bool:
        """Returns whether the phase is a new one."""
        is_new, self._phase = name != self._phase, name
        self._games = self._games if name == "evaluating" else None
        return is_new

    def games(self, done: int, total: int) -> None:
        self._games = (done, total)

    def evaluation(self, env_steps: int, result: Evaluation) -> None:
        self._evaluation = (env_steps, result)

    def end(self) -> None:
        """No record follows: the panel then says how the run ended."""
        if self.progress is not None:
            self.update_rates()
            self._end = self._how_it_ended()

    def update_rates(self) -> None:
        """Adds a point to the rates. Call it before the panel is drawn."""
        progress = self.progress
        if progress is not None:
            done = progress.env_steps_done
            self._work.add(self._work_seconds, done, progress.updates)
            self._pace.add(self._clock(), done)

    def panel(self) -> Any:
        """Returns a rich renderable."""
        if self.progress is None:
            return panel.waiting(self._phase)
        work, pace = self._work.rates(), self._pace.rates()
        return panel.Panel(
            self._info,
            self.progress,
            elapsed=self._clock() - self._started + (self._past_seconds or 0.0),
            is_whole_time=self._past_seconds is not None,
            env_steps_per_second=work[0] if work else None,
            updates_per_second=work[1] if work else None,
            pace=pace[0] if pace else None,
            phase=self._phase,
            games=self._games,
            evaluation=self._evaluation,
            scores=self._scores,
            losses=self._losses,
            end=self._end,
        )

    def _how_it_ended(self):
        goal = self._info.settings.get("stop_at_score")
        mean = None if self._evaluation is None else self._evaluation[1].mean
        if goal is not None and mean is not None and mean >= goal:
            return f"solved: evaluated at {mean:g}, the goal was {goal:g}"
        progress = self.progress
        is_over = progress.env_steps_done >= progress.total_env_steps
        return "finished" if is_over else "stopped before the end"
