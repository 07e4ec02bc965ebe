"""Keras callbacks in a training loop: `DQNAgent.fit(..., callbacks=[...])`.

An epoch is a logging period, `log_interval_iterations` iterations. Epoch `e` begins
with iteration `e * log_interval_iterations`. Periods are left out until the first
gradient step was taken and the first episode has ended, so that all epochs have the
same logs. The last epoch may be shorter.

Called are `on_train_begin`, `on_epoch_begin`, `on_epoch_end` and `on_train_end`. Hooks
of batches, tests and predictions are not called: one update is too short for them. A
callback that overrides the hooks of batches is warned of.

`logs` has the names and values of the "metrics" lines in `metrics.jsonl`, of the
epoch's last iteration: `score_mean`, `length_mean`, `best_score`, `episode_count`,
`loss`, `q_mean`, `q_std`, `td_error`, `epsilon`, `beta`, `learning_rate`, ...

`self.model` of a callback is the network, with the optimizer and `stop_training`.

| callback | here |
| --- | --- |
| `ModelCheckpoint` | saves the network, with `save_freq="epoch"` |
| `EarlyStopping` | ends the run, and restores the best weights if asked for |
| `ReduceLROnPlateau`, `LearningRateScheduler` | work |
| `CSVLogger` | writes a row for each epoch |
| `LambdaCallback` | works, without hooks of batches |
| `TensorBoard` | writes scalars; needs TensorFlow and tensorboard on all backends, \
unlike `monitor.TensorBoard` |
| `TerminateOnNaN` | never called, and not needed: `fit` raises an error |

The state of a callback, such as the patience that is left, is not in checkpoints.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeAlias

import keras

from keras_dqn.monitor.records import metrics_of

if TYPE_CHECKING:
    from keras_dqn.config import Settings
    from keras_dqn.monitor.base import Monitor
    from keras_dqn.progress import Progress

# A Keras callback, or a function `callback(agent, progress)`.
Callback: TypeAlias = keras.callbacks.Callback | Callable[[Any, Any], Any]
_OF_TENSORBOARD = ("tensorflow", "tensorboard")
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


@contextlib.contextmanager
def called(
    callbacks: Sequence[Callback],
    agent: Any,
    settings: Settings,
    monitor: Monitor,
    requests: Any = None,
) -> Iterator[list[Callable[[Any, Progress], Any]]]:
    """A context for a training loop: `on_train_begin` before it, `on_train_end` after.

    After an exception or a request to stop, `on_train_end` is not called, as in Keras's
    `fit` after Ctrl-C: `EarlyStopping` would put older weights into the checkpoint.

    Args:
        callbacks: Keras callbacks and callables `callback(agent, progress)`.
        agent: Built `DQNAgent`.
        settings: `Settings`.
        monitor: `Monitor` that shows warnings.
        requests: `signals.Requests`, or `None`.

    Yields:
        List of callables `callback(agent, progress)`, in the same order.

    Raises:
        ImportError: If `keras.callbacks.TensorBoard` lacks a package.
    """
    _check_packages(callbacks)
    functions: list[Callable[[Any, Progress], Any]] = [
        _Calls(each, agent, settings)
        if isinstance(each, keras.callbacks.Callback)
        else each
        for each in callbacks
    ]
    calls = [each for each in functions if isinstance(each, _Calls)]
    for each in calls:
        each.begin(monitor)
    yield functions
    if requests is None or not requests.stop:
        for each in calls:
            each.end()


def _check_packages(callbacks):
    """Refuses Keras's TensorBoard without its packages: it fails in the first epoch."""
    for each in callbacks:
        if isinstance(each, keras.callbacks.TensorBoard):
            missing = [x for x in _OF_TENSORBOARD if not importlib.util.find_spec(x)]
            if missing:
                names = " ".join(missing)
                raise ImportError(
                    f"`keras.callbacks.TensorBoard` needs {names}. Run: pip install "
                    f"{names}. Or use `keras_dqn.monitor.TensorBoard`"
                )


class _Model:
    """The model of a callback: a network with the optimizer of its learner."""

    def __init__(self, agent):
        self._agent = agent
        self.stop_training = False

    @property
    def optimizer(self):
        return self._agent.learner.optimizer

    def __getattr__(self, name):
        return getattr(self._agent.network, name)


class _Calls:
    """Calls the hooks of a Keras callback."""

    def __init__(self, callback, agent, settings):
        self._callback = callback
        self._model = _Model(agent)
        self._interval = settings.log_interval_iterations
        self._iterations = settings.iterations
        self._epoch = self._last = None

    def begin(self, monitor):
        hooks = _unused_hooks(self._callback)
        if hooks:
            name = type(self._callback).__name__
            monitor.message(
                f"Warning: {', '.join(hooks)} of the callback {name} will not be "
                "called: there are no hooks for batches"
            )
        epochs = -(-self._iterations // self._interval)
        self._callback.set_params(
            {"epochs": epochs, "steps": self._interval, "verbose": 0}
        )
        self._callback.set_model(self._model)
        self._callback.on_train_begin({})

    def __call__(self, agent, progress):
        """Returns whether the callback has stopped the training."""
        self._last = progress
        next_iteration = progress.iteration + 1
        if next_iteration % self._interval == 0:
            self._end_epoch()
            if next_iteration < self._iterations and not self._model.stop_training:
                self._begin_epoch(next_iteration // self._interval)
        return self._model.stop_training

    def end(self):
        self._end_epoch()
        logs = {} if self._last is None else _logs(self._last)
        self._callback.on_train_end(logs)

    def _begin_epoch(self, epoch):
        if self._last.loss is not None and self._last.score_mean is not None:
            self._epoch = epoch
            self._callback.on_epoch_begin(epoch, {})

    def _end_epoch(self):
        epoch, self._epoch = self._epoch, None
        if epoch is not None:
            self._callback.on_epoch_end(epoch, _logs(self._last))


def _unused_hooks(callback):
    """Returns the names of the hooks of batches that a callback overrides in vain."""
    # `ModelCheckpoint` and `TensorBoard` do without these hooks at "epoch".
    frequency = getattr(callback, "save_freq", getattr(callback, "update_freq", None))
    if frequency == "epoch":
        return []
    plain = keras.callbacks.Callback
    return [
        name
        for name in _BATCH_HOOKS
        if name in vars(callback)
        or getattr(type(callback), name) is not getattr(plain, name)
    ]


def _logs(progress):
    """Returns what is known of a record."""
    values = metrics_of(progress)
    return {name: value for name, value in values.items() if value is not None}
