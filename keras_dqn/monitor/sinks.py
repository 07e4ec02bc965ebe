"""`Sink`: gives the records of a run to an experiment tracker, or any other object."""

from __future__ import annotations

import logging
from typing import Any
from typing import Protocol

from keras_dqn.monitor.records import Records

_LOG = logging.getLogger(__name__)


class Writes(Protocol):
    """An object that takes records."""

    def write(self, record: dict[str, Any], /) -> Any:
        """Takes a record, a dictionary of JSON values."""


class Sink(Records):
    """Calls `target.write(record)` with each record, as in `metrics.jsonl`.

    The fields of the records are listed in `keras_dqn.monitor.jsonl`. The sink does not
    close `target`, since the final evaluation comes after the training: close it after
    the run. What `target` has stored is not deleted when a run is resumed, and
    `training_seconds` of a resumed run is `null` outside a run directory. If `write`
    raises an exception, a warning is logged once, the record is lost, and training
    goes on.

    Args:
        target: Object with a method `write(record)`.
        log_interval_iterations: Int, at least 1. Iterations between two records
            of type `"metrics"`.

    Raises:
        TypeError: If `target` has no method `write`.

    Examples:

    All records in a list:

    ```python
    class Records(list):
        write = list.append

    records = Records()
    agent.fit(envs, monitors=keras_dqn.monitor.Sink(records))
    ```

    In a run directory, besides its other logs: `Run(..., monitors=[Sink(records)])`.

    Weights & Biases:

    ```python
    class WeightsAndBiases:
        def __init__(self, **options):
            self.run = wandb.init(**options)

        def write(self, record):
            kind, step = record["type"], record["env_steps"]
            if kind == "start":
                self.run.config.update(record["settings"], allow_val_change=True)
            elif kind != "episode":
                values = {f"{kind}/{name}": x for name, x in record.items()}
                self.run.log(values, step=step)

    tracker = WeightsAndBiases(mode="offline")
    agent.fit(envs, monitors=Sink(tracker))
    tracker.run.finish()
    ```

    MLflow:

    ```python
    class MLflow:
        def write(self, record):
            kind, step = record["type"], record["env_steps"]
            if kind == "start":
                mlflow.log_params(record["settings"])
            elif kind != "episode":
                values = {
                    f"{kind}/{name}": float(x)
                    for name, x in record.items()
                    if isinstance(x, int | float)
                }
                mlflow.log_metrics(values, step=step)

    with mlflow.start_run():
        agent.fit(envs, monitors=Sink(MLflow()))
    ```

    Trackio:

    ```python
    class Trackio:
        def __init__(self, project):
            self.project = project

        def write(self, record):
            kind, step = record["type"], record["env_steps"]
            if kind == "start":
                trackio.init(project=self.project, config=record["settings"])
            elif kind != "episode":
                values = {f"{kind}/{name}": x for name, x in record.items()}
                trackio.log(values, step=step)

    agent.fit(envs, monitors=Sink(Trackio("breakout")))
    trackio.finish()
    ```
    """

    def __init__(self, target: Writes, log_interval_iterations: int = 10) -> None:
        super().__init__(log_interval_iterations)
        if isinstance(target, type) or not callable(getattr(target, "write", None)):
            raise TypeError(
                "`target` must be an object with a method `write(record)`. "
                f"Received: target={target!r}"
            )
        self._target = target
        self._has_warned = False

    def put(self, record: dict[str, Any]) -> None:
        """See `Records.put`."""
        try:
            self._target.write(record)
        except Exception as error:
            if not self._has_warned:
                self._has_warned = True
                _LOG.warning(
                    "Cannot write a record to %s (%s: %s). Training goes on.",
                    type(self._target).__name__,
                    type(error).__name__,
                    error,
                )
