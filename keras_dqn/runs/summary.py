"""The last lines of a run: what was learned, where it is, and what to type next."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import sys
from typing import Any

from keras_dqn.monitor import text
from keras_dqn.runs.run import Run

_GAMES = 100


def lines(run: Run, command: str) -> list[str]:
    """Returns the summary of a run that has ended or was stopped.

    Args:
        run: `Run` after training.
        command: String, the command that trains, such as `"keras-dqn train"`.

    Returns:
        List of lines.
    """
    quote = shlex.quote if sys.platform != "win32" else _quoted_on_windows
    place = quote(str(run.directory))
    next_ones = [f"keras-dqn evaluate {place}", f"keras-dqn record {place}"]
    resume = f"{command} --resume --out {place}"
    if command.startswith("keras-dqn "):
        resume = f"keras-dqn resume {place}"
    resume = _prefix() + resume
    if run.was_stopped:
        return [*_learned(run), f"To go on, type:  {resume}"]
    more = f"--env-steps {2 * run.settings.env_steps}"
    if run.evaluations.is_solved:
        more = "--stop-at-score none"
    next_ones = [_prefix() + line for line in next_ones] + [f"{resume} {more}"]
    return [
        *_learned(run),
        f"In {run.directory}: {', '.join(_files(run.directory))}",
        "What to type next:",
        *(f"  {line}" for line in next_ones),
    ]


def _learned(run):
    """Returns a line on the scores, or none if no episode has ended."""
    statistics = run.state.statistics
    if not statistics.count:
        return []
    last = statistics.mean(statistics.scores)
    count = min(statistics.count, _GAMES)
    line = f"Learned: mean score {text.score(last)} of the last {count} episodes"
    first = _first_scores(run.directory.metrics)
    if len(first) == _GAMES and statistics.count > _GAMES:
        line += f", {text.score(sum(first) / _GAMES)} of the first {_GAMES}"
    return [f"{line}, best {text.score(statistics.best_score).removesuffix('.00')}"]


def _first_scores(path: pathlib.Path) -> list[float]:
    """Returns the scores of the first 100 episodes in a file of `JsonLines`."""
    scores: list[float] = []
    try:
        with open(path, "rb") as file:
            for line in file:
                if b'"episode"' in line[:30]:
                    scores.append(float(json.loads(line)["score"]))
                if len(scores) == _GAMES:
                    break
    except (OSError, ValueError, KeyError, TypeError):
        return []  # a damaged log: the summary says less
    return scores


def _files(directory: Any) -> list[str]:
    """Returns the names of those files that exist, with what they are."""
    found = {
        directory.network: "network.keras",
        directory.best_network: "best.keras (of the best evaluation)",
        directory.checkpoints: "checkpoints/",
        directory.metrics: "metrics.jsonl (the log)",
    }
    return [name for path, name in found.items() if path.exists()]


def _quoted_on_windows(text):
    return subprocess.list2cmdline([text])


def _prefix():
    """Returns `KERAS_BACKEND=...` with a space where a command must have it."""
    name = os.environ.get("KERAS_BACKEND")
    return f"KERAS_BACKEND={name} " if name and sys.platform != "win32" else ""
