"""Evaluations during training, the best network, and `stop_at_score`."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_dqn import checks
from keras_dqn.config import Settings
from keras_dqn.envs import VectorEnvs
from keras_dqn.evaluation import Evaluation
from keras_dqn.monitor.jsonl import last_final_evaluation
from keras_dqn.run_state import RunState


def final_evaluation(
    path: pathlib.Path, env_steps: int, settings: Settings, envs: VectorEnvs
) -> Evaluation | None:
    """Returns the final evaluation that a log has, or `None`.

    Args:
        path: Path of `metrics.jsonl`.
        env_steps: Integer, the agent steps after which it was played.
        settings: `Settings`. An evaluation by other rules is none.
        envs: The environments of the training.
    """
    record = last_final_evaluation(path)
    if record is None or record["env_steps"] != env_steps:
        return None
    try:
        found = Evaluation(
            scores=np.array(record["scores"], np.float64),
            lengths=np.array(record["lengths"], np.int64),
            epsilon=float(record["epsilon"]),
            env_id=envs.env_id,
            frame_skip=envs.options.get("frame_skip", 1),
        )
    except (KeyError, ValueError, TypeError):  # a damaged line
        return None
    rules = (settings.evaluation_episodes,), settings.evaluation_epsilon
    return found if (found.scores.shape, found.epsilon) == rules else None


class Evaluations:
    """Evaluates at intervals, saves the best network and ends a solved run.

    If a request to stop aborts an evaluation, it is recorded in the checkpoint as
    pending. The resumed run plays it first, with the same network and seeds.

    Args:
        settings: `Settings`.
        play: Function that takes an integer, from which it derives the seeds of the
            games. It returns an `Evaluation`, or `None` if it was aborted.
        save_best: Function that saves the network as the best so far.
        log: Function that shows a line of text.
        warn: Function that shows a warning. Default: `log`.
        record: Function that takes the agent steps and the `Evaluation`, and logs
            them. `None` logs nothing.
        clock: Function that returns seconds from a monotonic clock.
    """

    def __init__(
        self,
        settings: Settings,
        play: Callable[[int], Evaluation | None],
        save_best: Callable[[], None],
        log: Callable[[str], None],
        warn: Callable[[str], None] | None = None,
        record: Callable[[int, Evaluation], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = settings.evaluation_interval_iterations
        self._minutes = settings.evaluation_interval_minutes
        self._clock = clock
        # When training began, or went on after the last evaluation.
        self._began_at: float | None = None
        self._stop_at_score = settings.stop_at_score
        self._play, self._save_best = play, save_best
        self._log, self._warn, self._record = log, warn or log, record
        self._best_score: float | None = None  # the highest mean score
        self._last_score: float | None = None
        self._pending: int | None = None  # agent steps of the pending evaluation

    @property
    def is_solved(self) -> bool:
        """Whether the last evaluation reached `stop_at_score`."""
        if self._stop_at_score is None or self._last_score is None:
            return False
        return self._last_score >= self._stop_at_score

    @property
    def is_pending(self) -> bool:
        """Whether an evaluation was aborted and is to be played first."""
        return self._pending is not None

    def after_iteration(self, state: RunState, env_steps: int) -> bool:
        """Evaluates if an evaluation is due. Returns whether the run is solved.

        Args:
            state: `run_state.RunState`, after the iteration.
            env_steps: Integer, agent steps taken.
        """
        if not state.updates or not self._is_due(state.iteration):
            return False
        return self._evaluate(env_steps)

    def catch_up(self) -> bool:
        """Plays the pending evaluation, if any. Returns whether the run is solved."""
        return (
            self.is_solved if self._pending is None else self._evaluate(self._pending)
        )

    def _is_due(self, iteration):
        if self._began_at is None:
            self._began_at = self._clock()
        if self._interval is not None and iteration % self._interval == 0:
            return True
        waited = self._clock() - self._began_at
        return self._minutes is not None and waited >= 60.0 * self._minutes

    def _evaluate(self, env_steps):
        self._pending = env_steps
        result = self._play(env_steps)
        self._began_at = self._clock()
        if result is None:
            return False
        self._pending, self._last_score = None, result.mean
        self._log(f"Evaluation at {env_steps} agent steps: {result}")
        if self._record is not None:
            self._record(env_steps, result)
        if self._best_score is None or result.mean > self._best_score:
            try:
                self._save_best()
                self._best_score = result.mean
            except OSError as error:  # the previous best network is still on disk
                self._warn(f"Could not save the best network: {error}")
        return self.is_solved

    def to_meta(self) -> dict[str, Any]:
        """Returns scores and the pending evaluation as JSON values."""
        return {
            "best_score": self._best_score,
            "last_score": self._last_score,
            "pending_evaluation": self._pending,
        }

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Restores what `to_meta` returned.

        Raises:
            ValueError: If a score is not a finite number, or `pending_evaluation` is
                not an integer of at least 0.
        """
        for name in ("best_score", "last_score"):
            if meta.get(name) is not None:
                checks.number(name, meta[name])
        pending = meta.get("pending_evaluation")
        if pending is not None:
            checks.integer("pending_evaluation", pending, 0, checks.LARGEST_COUNT)
        self._best_score = meta.get("best_score")
        self._last_score = meta.get("last_score")
        self._pending = pending
