"""Reads what a run logged: its settings, records, evaluations and films.

A run directory is only read, also while its run goes on. Older logs without `time`,
`training_seconds` or evaluations can be read, too.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dqn.config import FIELDS
from keras_dqn.monitor import RunInfo
from keras_dqn.report.lines import Lines
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import files

VIDEO = "video.mp4"  # as `keras-dqn record` names it


@dataclasses.dataclass(frozen=True)
class EvaluationRecord:
    """An evaluation that was logged.

    Attributes:
        env_steps: Agent steps before its iteration.
        mean: Mean score.
        interval: `(low, high)`, 95 % interval of the mean, normal approximation.
        scores: Float64 array `(episodes,)`.
        lengths: Float64 array `(episodes,)`, in agent steps; empty if not logged.
        epsilon: Probability of a random action; NaN if not logged.
        is_final: Whether it was played after the training.
    """

    env_steps: int
    mean: float
    interval: tuple[float, float]
    scores: np.ndarray
    lengths: np.ndarray
    epsilon: float
    is_final: bool


@dataclasses.dataclass(frozen=True)
class RunLog:
    """What a run logged.

    Attributes:
        path: Path that was given, of a directory or a file.
        name: String, the name of the directory, or of the file without suffixes.
        settings: Dictionary of settings, as they were saved. They are not checked.
        info: Dictionary, the last record of type "start"; empty if there is none.
        resumed_at: Agent steps at which the run was resumed, in order.
        metrics: Float64 arrays `(records,)` by the name of a field of the records of
            type "metrics". NaN is for `null` and for fields that a record lacks.
            `hours` are hours of training.
        episode_env_steps: Float64 array `(episodes,)`, agent steps.
        episode_scores: Float64 array `(episodes,)`, scores of training episodes.
        evaluations: `EvaluationRecord` of each evaluation, in order.
        machine: Dictionary from facts of the machine to strings and integers, from
            the newest checkpoint; empty if there is none.
        video: Path of the film of the run, or `None`.
        warnings: Strings, a line for each thing that could not be read.
    """

    path: pathlib.Path
    name: str
    settings: dict[str, Any]
    info: dict[str, Any]
    resumed_at: tuple[int, ...]
    metrics: dict[str, np.ndarray]
    episode_env_steps: np.ndarray
    episode_scores: np.ndarray
    evaluations: tuple[EvaluationRecord, ...]
    machine: dict[str, Any] = dataclasses.field(default_factory=dict)
    video: pathlib.Path | None = None
    warnings: tuple[str, ...] = ()

    @property
    def env_id(self) -> str:
        """Name of the environment, or `""` if it is not known."""
        return str(self.info.get("env_id") or self.settings.get("env_id", ""))

    @property
    def backend(self) -> str:
        """Name of the Keras backend, or `""` if it is not known."""
        return str(self.info.get("backend", ""))

    @property
    def frame_skip(self) -> int | None:
        """Emulator frames of an agent step, or `None` if there is no emulator."""
        found = self.info.get("env_options", {}).get("frame_skip")
        is_count = isinstance(found, int) and not isinstance(found, bool)
        return found if is_count and found > 0 else None

    @property
    def score_units(self) -> str:
        """What the scores are of: `"lives"`, `"games"` or `"episodes"`."""
        return RunInfo(env_options=self.info.get("env_options", {})).score_units

    @property
    def env_steps(self) -> int:
        """Agent steps of the last record of any kind; 0 without records."""
        found = [*self.metrics.get("env_steps", ())[-1:], *self.episode_env_steps[-1:]]
        found += [each.env_steps for each in self.evaluations[-1:]]
        return int(max(found, default=0))

    def last(self, name: str) -> float:
        """Returns the last number in the column `name` of `metrics`, or NaN."""
        column = self.metrics.get(name, np.array([]))
        known = column[np.isfinite(column)]
        return float(known[-1]) if known.size else float("nan")


def read(path: str | os.PathLike[str]) -> RunLog:
    """Reads a run directory, or a log.

    Args:
        path: Path of a run directory, or of a file like `metrics.jsonl`, which may be
            compressed with gzip (`.jsonl.gz`).

    Returns:
        `RunLog`.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no run.
    """
    path = pathlib.Path(path)
    log = _log_of(path)
    records, warnings = _records_in(log)
    if not any(records.values()):
        raise ValueError(f"{path} is no run: {log.name} has no records")
    directory = RunDirectory(path if path.is_dir() else path.parent)
    starts = records["start"]
    info = starts[-1] if starts else {}
    settings, notes = info.get("settings", {}), []
    if path.is_dir():
        settings, notes = _settings_of(directory, settings)
    video = directory.path / VIDEO
    return RunLog(
        path=path,
        name=_name_of(path),
        settings=settings,
        info=info,
        resumed_at=tuple(each["env_steps"] for each in starts if each["env_steps"]),
        metrics=_columns(records["metrics"]),
        episode_env_steps=_numbers(records["episode"], "env_steps"),
        episode_scores=_numbers(records["episode"], "score"),
        evaluations=tuple(_evaluation(each) for each in records["evaluation"]),
        machine=_machine(directory) if path.is_dir() else {},
        video=video if path.is_dir() and video.is_file() else None,
        warnings=(*warnings, *notes),
    )


def _log_of(path):
    """Returns the path of the log in a directory, or of the log itself."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_dir():
        return path
    log = RunDirectory(path).metrics
    if not log.is_file():
        raise FileNotFoundError(f"{path} is no run: it has no {log.name}")
    return log


def _records_in(log: pathlib.Path) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Returns the records of the last run in a log by their type, and warnings."""
    records: dict[str, list[dict[str, Any]]]
    records = {"metrics": [], "episode": [], "evaluation": [], "start": []}
    warnings: list[str] = []
    lines = Lines(log)
    for record in lines:
        if record["type"] == "start" and record["env_steps"] == 0 and records["start"]:
            warnings = [f"{log}: only the last of its runs is read"]
            records = {kind: [] for kind in records}
        records.get(record["type"], []).append(record)
    return records, warnings + lines.warnings


def _name_of(path):
    path = path.resolve()
    if path.is_dir():
        return path.name
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return path.parent.name if stem == "metrics" else stem


def _settings_of(directory, logged):
    """Returns the settings, and warnings. Logged ones are used if there is no file."""
    try:
        found = files.read_json(directory.settings)
    except FileNotFoundError:
        return logged, []
    except (OSError, ValueError) as error:
        return logged, [f"{directory.settings}: skipped, {error}"]
    if not isinstance(found, dict):
        return logged, [f"{directory.settings}: skipped, it is not an object"]
    return found, []


def _machine(directory):
    """Returns the facts of the machine in the newest checkpoint that can be read."""
    found = directory.checkpoints.glob("checkpoint-*/meta.json")
    for path in sorted(found, reverse=True):  # their names have the agent steps
        try:
            facts = files.read_json(path)["made_with"]
            return {str(name): value for name, value in facts.items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
    return {}


def _columns(records: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    names = dict.fromkeys(name for each in records for name in each if name != "type")
    columns = {name: _numbers(records, name) for name in names}
    if records:
        columns["hours"] = _hours(columns)
    return columns


def _numbers(records, name):
    return np.array([each.get(name, np.nan) for each in records], np.float64)


def _hours(columns):
    """Returns the hours of training after each record.

    As they were logged, if all records have them, else by steps and their rate.
    """
    for name, scale in (("training_seconds", 3600.0), ("hours", 1.0)):
        if name in columns and np.isfinite(columns[name]).all():
            return columns[name] / scale
    steps = np.diff(columns["env_steps"], prepend=0.0)
    nothing = np.full(len(steps), np.nan)
    rates = columns.get("env_steps_per_second", nothing)
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = np.where(rates > 0.0, steps / rates, 0.0)
    return seconds.cumsum() / 3600.0


def _evaluation(record):
    scores = np.array(record["scores"], np.float64)
    mean = float(scores.mean())
    std = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    half = 1.96 * std / len(scores) ** 0.5
    return EvaluationRecord(
        env_steps=record["env_steps"],
        mean=mean,
        interval=(mean - half, mean + half),
        scores=scores,
        lengths=np.array(record["lengths"], np.float64),
        epsilon=record["epsilon"],
        is_final=bool(record.get("is_final", False)),
    )


def setting_of(run: RunLog, name: str) -> Any:
    """Returns a setting of a run, or its backend.

    Args:
        run: `RunLog`.
        name: Field of `Settings`, or `"backend"`.

    Returns:
        The value. For a field that older runs lack: the default of the field.
    """
    if name == "backend":
        return run.backend
    default = FIELDS[name].default
    if isinstance(default, tuple):
        default = [list(each) for each in default]
    return run.settings.get(name, default)
