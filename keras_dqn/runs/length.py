"""Says early how long a long run will take, and what to type for a shorter one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn.config import Settings
from keras_dqn.monitor import text

if TYPE_CHECKING:
    from keras_dqn.progress import Progress

LONG_HOURS = 12.0  # a run that takes longer is worth a word
_MEASURED_SECONDS = 15.0
_SHORTER = {"ten minutes": 1 / 6, "an evening": 4.0, "a night": 8.0}  # hours


class LengthHint:
    """A callback of `DQNAgent.fit` that logs the length of a new, long run once.

    The rate is that of the first 15 seconds of training, without the first update,
    which compiles.

    Args:
        settings: `Settings`.
        log: Function that shows a line of text.
    """

    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        self._settings, self._log = settings, log
        self._seconds, self._env_steps = 0.0, 0
        self._was_training = self._is_over = False
        self._is_first = True

    def __call__(self, agent: Any, progress: Progress) -> None:
        if self._is_first:
            self._is_first = False
            self._is_over = progress.iteration > 0  # resumed
        if self._is_over or not progress.is_training:
            return
        if not self._was_training:
            self._was_training = True
            return
        self._seconds += progress.seconds
        self._env_steps += progress.env_steps_done - progress.env_steps
        if self._seconds >= _MEASURED_SECONDS:
            self._is_over = True
            self._say(progress, self._env_steps / self._seconds)

    def _say(self, progress, rate):
        left = progress.total_env_steps - progress.env_steps_done
        if left <= LONG_HOURS * 3600 * rate:
            return
        self._log(
            f"At {rate:,.0f} agent steps/s, this run takes {text.rough(left / rate)}. "
            "For a shorter one, type:"
        )
        for name, hours in _SHORTER.items():
            env_steps = self._settings.learning_starts + hours * 3600 * rate
            if env_steps < progress.total_env_steps:
                self._log(f"  --env-steps {_flag(env_steps)}  for {name}")


def _flag(env_steps):
    """Returns a number as people type it, with two digits: `12k`, `3.4M`."""
    digits = float(f"{env_steps:.2g}")
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if digits >= limit:
            return f"{digits / limit:g}{unit}"
    return f"{digits:g}"
