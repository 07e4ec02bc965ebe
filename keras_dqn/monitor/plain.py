"""The console without a terminal: one line per interval.

    env_steps agent_steps/s mean_score mean_length key=value ...

The first four columns are those of the reference implementation.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any
from typing import TextIO

from keras_dqn import checks
from keras_dqn.monitor import rates
from keras_dqn.monitor import text
from keras_dqn.monitor.base import Monitor

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo
    from keras_dqn.progress import Progress


_PHASES = {
    "filling": "Filling the replay: training starts after that",
    "compiling": "Compiling the train step: this takes seconds to minutes",
    "evaluating": "Evaluating ...",
}
_PACE_SECONDS = 300.0  # the time left is estimated from this many last seconds


class PlainConsole(Monitor):
    """Prints one line every few iterations, and flushes it.

    If the stream is a pipe whose reader exits, the console prints nothing more, and
    training goes on. If that pipe is the standard output of the process, it is
    replaced by the null device, so that later output raises no error.

    Args:
        stream: Text stream. `None` is `sys.stdout`.
        log_interval_iterations: Int, at least 1. Iterations between two lines.
        clock: Function without arguments that returns monotonic seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        log_interval_iterations: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._log_interval = checks.integer(
            "log_interval_iterations", log_interval_iterations, minimum=1
        )
        self._clock = clock
        self._is_silent = self._stream is None
        self._was_training = False
        self._phase = ""
        self._reset()

    def start(self, info: RunInfo) -> None:
        """See `Monitor.start`."""
        self._is_silent = self._stream is None
        self._reset()
        self._print("\n".join(text.introduction(info)))

    def write(self, progress: Progress) -> None:
        """See `Monitor.write`."""
        if self._is_silent:
            return
        self._interval.add(progress)
        if progress.is_training and not self._was_training:
            self._was_training = True
            self._pace.clear()  # filling the replay is faster than training
        if progress.iteration % self._log_interval == 0:
            self._pace.add(self._clock(), progress.env_steps_done)
            self._print(self._line(progress))

    def message(self, text: str) -> None:
        """See `Monitor.message`."""
        self._print(text)

    def phase(self, name: str) -> None:
        """See `Monitor.phase`. Those that take long are said before they begin."""
        if name != self._phase and name in _PHASES:
            self._print(_PHASES[name])
        self._phase = name

    def close(self) -> None:
        """See `Monitor.close`. The stream stays open."""
        self._is_silent = True

    def _reset(self):
        self._interval = rates.IntervalRates()
        self._pace = rates.SlidingRate(_PACE_SECONDS)
        self._was_training = False
        self._phase = ""

    def _line(self, progress):
        env_steps_per_second, updates_per_second = self._interval.take()
        pace = self._pace.rates()
        trained = progress.is_training
        left = rates.seconds_left(progress, pace[0]) if pace and trained else None
        number = text.number
        columns = (
            f"{progress.env_steps:4}",
            f"{number(env_steps_per_second, '.0f'):>3}",
            text.score(progress.score_mean),
            number(progress.length_mean, ".3f"),
        )
        pairs = {
            "best": text.score(progress.best_score).removesuffix(".00"),
            "episodes": progress.episode_count,
            "updates": progress.updates,
            "updates/s": number(updates_per_second, ".1f"),
            "loss": number(progress.loss, ".3g"),
            "q": number(progress.q_mean, ".3f"),
            "q_std": number(progress.q_std, ".3f"),
            "td_error": number(progress.td_error, ".4f"),
            "epsilon": number(progress.epsilon, ".4f"),
            "beta": number(progress.beta, ".4f"),
            "replay": text.percent(
                progress.replay_size, progress.replay_capacity
            ).replace(" ", ""),
            "eta": text.duration(left).replace(" ", ""),
        }
        return " ".join([*columns, *(f"{k}={v}" for k, v in pairs.items())])

    def _print(self, line):
        if self._is_silent:
            return
        try:
            self._write_line(line)
        except (OSError, ValueError) as error:
            if not is_gone(self._stream, error):
                raise
            self._is_silent = True
            silence(self._stream)

    def _write_line(self, line):
        try:
            self._stream.write(line + "\n")
        except UnicodeEncodeError as error:
            self._stream.write(text.encodable(line, error.encoding) + "\n")
        self._stream.flush()


def is_gone(stream: Any, error: Exception) -> bool:
    """Whether `error` means that `stream` is closed or has no reader."""
    return isinstance(error, OSError) or getattr(stream, "closed", False)


def silence(stream: Any) -> None:
    """Replaces `stream` by the null device if it is a standard stream.

    Otherwise the next output to it, and the flush when Python exits, would raise
    `BrokenPipeError` again.

    Reference:
        - [Python, note on SIGPIPE](https://docs.python.org/3/library/signal.html#note-on-sigpipe)
    """
    if stream not in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__):
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
