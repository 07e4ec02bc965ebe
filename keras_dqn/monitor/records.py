"""Records: what a run logs, as dictionaries of JSON values.

`monitor.jsonl` lists their fields. Files, event files and sinks get the same records.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn import checks
from keras_dqn.monitor import rates
from keras_dqn.monitor.base import Monitor

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress

# Fields of `Progress` in a record of type "metrics", besides rates and seconds.
_METRICS = (
    "loss",
    "q_mean",
    "q_std",
    "td_error",
    "epsilon",
    "beta",
    "episode_count",
    "score_mean",
    "length_mean",
    "best_score",
    "replay_size",
    "replay_nbytes",
    "replay_fill",
    "learning_rate",
    "gradient_norm",
    "effective_sample_size",
    "sample_age_mean",
    "max_priority",
)
_EPISODE = ("env_index", "score", "length", "lives", "truncated")


class Records(Monitor):
    """A monitor that gets records. A subclass defines `put`.

    Args:
        log_interval_iterations: Int, at least 1. Iterations between two records
            of type `"metrics"`.

    Attributes:
        training_seconds: Float, seconds of sampling and training since step 0.
            `None` if they are not known, in a run that is resumed.
    """

    training_seconds: float | None

    def __init__(self, log_interval_iterations: int = 10) -> None:
        self._log_interval = checks.integer(
            "log_interval_iterations", log_interval_iterations, minimum=1
        )
        self._begin(0)

    def put(self, record: dict[str, Any]) -> None:
        """Stores a record.

        Args:
            record: Dictionary of JSON values, see `monitor.jsonl`.
        """
        raise NotImplementedError

    def resume(self, env_steps: int) -> None:
        """See `Monitor.resume`."""
        self._begin(int(env_steps))

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._put("start", self._start_env_steps, dataclasses.asdict(info))

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        self._interval.add(progress)
        if self.training_seconds is not None:
            self.training_seconds += progress.seconds
        for episode in progress.episodes:
            values = {name: getattr(episode, name) for name in _EPISODE}
            self._put("episode", progress.env_steps, values)
        if progress.iteration % self._log_interval == 0:
            self._put("metrics", progress.env_steps, self._metrics(progress))

    def evaluation(self, env_steps: int, result: Evaluation, is_final: bool) -> None:
        """See `Monitor.evaluation`."""
        names = ("mean", "std", "interval", "epsilon", "scores", "lengths")
        values = {name: getattr(result, name) for name in names}
        values |= {"episodes": len(result.scores), "is_final": bool(is_final)}
        self._put("evaluation", env_steps, values)

    def close(self) -> None:
        """See `Monitor.close`."""
        self._begin(0)

    def _begin(self, env_steps):
        self._start_env_steps = env_steps
        self._interval = rates.IntervalRates()
        self.training_seconds = None if env_steps else 0.0

    def _put(self, kind, env_steps, values):
        head = {"type": kind, "env_steps": env_steps, "time": round(time.time(), 1)}
        self.put(as_json({**head, **values}))

    def _metrics(self, progress):
        env_steps_per_second, updates_per_second = self._interval.take()
        return {
            "iteration": progress.iteration,
            "updates": progress.updates,
            "training_seconds": self.training_seconds,
            "env_steps_per_second": env_steps_per_second,
            "updates_per_second": updates_per_second,
            **metrics_of(progress),
        }


def metrics_of(progress: Progress) -> dict[str, Any]:
    """Returns the fields of `Progress` that a record of type "metrics" has.

    Counters, rates and seconds are left out.
    """
    return {name: getattr(progress, name) for name in _METRICS}


def as_json(value: Any) -> Any:
    """Returns `value` as JSON values. Floats that are not finite become `None`."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
