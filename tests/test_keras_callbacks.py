"""Keras callbacks in `fit`: which of their hooks are called, and what they do."""

import csv
import importlib.util
import io
import signal

import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn.monitor import PlainConsole
from keras_dqn.replay import UniformReplay
from tests.toys import CountingEnv

# 20 iterations of 4 agent steps; epochs of 4 iterations.
FIT = {
    "env_steps": 80,
    "vector_steps_per_iteration": 2,
    "updates_per_iteration": 1,
    "batch_size": 4,
    "learning_starts_env_steps": 16,
    "log_interval_iterations": 4,
    "monitors": None,
}
EPOCHS = [1, 2, 3, 4]  # no gradient step and no episode before iteration 4


def fit(*callbacks, **changes):
    keras.utils.set_random_seed(1)
    with keras_dqn.make_envs(lambda: CountingEnv(length=5), 2) as envs:
        network = keras.Sequential(
            [keras.layers.Input(envs.stored_shape), keras.layers.Flatten()]
        )
        network.add(keras.layers.Dense(envs.num_actions))
        agent = keras_dqn.DQNAgent(network, UniformReplay(64))
        agent.compile(keras.optimizers.SGD(0.5), jit_compile=False)
        progress = agent.fit(envs, callbacks=list(callbacks), **{**FIT, **changes})
    return agent, progress


class Notes(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], []

    def on_train_begin(self, logs=None):
        self.calls.append("train")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(-epoch)
        self.logs.append(logs)

    def on_train_end(self, logs=None):
        self.calls.append("end")


def test_an_epoch_is_a_logging_period_once_there_is_training_and_a_score():
    notes = Notes()
    records = []
    fit(notes, lambda agent, progress: records.append(progress) and None)
    inner = [call for epoch in EPOCHS for call in (epoch, -epoch)]
    assert notes.calls == ["train", *inner, "end"]
    assert notes.params == {"epochs": 5, "steps": 4, "verbose": 0}
    ends = records[7::4]
    for name in ("score_mean", "loss", "q_mean", "epsilon", "learning_rate"):
        assert [x[name] for x in notes.logs] == [getattr(x, name) for x in ends]
    assert len({tuple(logs) for logs in notes.logs}) == 1
    assert "max_priority" not in notes.logs[0]  # uniform replay has none


def test_the_last_epoch_may_be_shorter():
    notes = Notes()
    fit(notes, env_steps=72)  # 18 iterations
    assert notes.calls[-3:] == [4, -4, "end"]


def test_stop_training_ends_the_run():
    class Stopping(Notes):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.model.stop_training = epoch == 2

    notes = Stopping()
    _, progress = fit(notes)
    assert progress.iteration == 11
    assert notes.calls[-2:] == [-2, "end"]


def test_early_stopping_restores_the_best_weights():
    stopping = keras.callbacks.EarlyStopping(
        "loss", mode="max", min_delta=1e9, patience=2, restore_best_weights=True
    )
    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(keep.model.get_weights())
    )
    agent, progress = fit(keep, stopping)
    assert progress.iteration == 15  # no epoch was better than the first
    for ours, best in zip(agent.network.get_weights(), seen[0], strict=True):
        np.testing.assert_array_equal(ours, best)
    assert any((a != b).any() for a, b in zip(seen[0], seen[-1], strict=True))


def test_the_learning_rate_can_be_lowered():
    lower = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.1, patience=1, min_delta=1e9
    )
    rates = []
    agent, _ = fit(
        lower, lambda agent, progress: rates.append(progress.learning_rate) and None
    )
    assert agent.learner.learning_rate == pytest.approx(0.5e-3)
    assert rates[8:] == pytest.approx([0.5] * 4 + [0.05] * 4 + [0.005] * 4)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 1 / (1 + epoch))
    agent, _ = fit(schedule)
    assert agent.learner.learning_rate == pytest.approx(0.2)


def test_checkpoints_of_the_model_are_networks(tmp_path):
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    agent, _ = fit(saving)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{epoch + 1}.keras" for epoch in EPOCHS
    ]
    saved = keras.models.load_model(tmp_path / "5.keras").get_weights()
    for ours, theirs in zip(agent.network.get_weights(), saved, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_csv_has_a_row_for_each_epoch(tmp_path):
    notes = Notes()
    fit(keras.callbacks.CSVLogger(tmp_path / "log.csv"), notes)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == EPOCHS
    for row, logs in zip(rows, notes.logs, strict=True):
        assert float(row["loss"]) == pytest.approx(logs["loss"])


def test_tensorboard_writes_event_files_where_its_packages_are(tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path)
    needed = ("tensorflow", "tensorboard")
    if not all(importlib.util.find_spec(name) for name in needed):
        with pytest.raises(ImportError, match="pip install tensor"):
            fit(board)
    else:
        fit(board)
        assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_hooks_of_batches_are_warned_of_by_name():
    class Batches(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise AssertionError("not called")

    stream = io.StringIO()
    fit(
        Batches(),
        keras.callbacks.LambdaCallback(on_train_batch_begin=print),
        keras.callbacks.ModelCheckpoint("never.keras", save_freq=3),
        keras.callbacks.EarlyStopping("loss", patience=9),
        monitors=PlainConsole(stream),
        env_steps=40,
    )
    warnings = [x for x in stream.getvalue().splitlines() if "will not be called" in x]
    assert ["on_train_batch_end" in x and "Batches" in x for x in warnings][0]
    assert "on_train_batch_begin" in warnings[1] and "LambdaCallback" in warnings[1]
    assert "ModelCheckpoint" in warnings[2] and len(warnings) == 3


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_control_c_does_not_end_the_training_of_callbacks(is_interrupted):
    """`EarlyStopping` would restore older weights, which the checkpoint would get."""
    ended = []

    class Watching(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            ended.append(True)

    def interrupt(agent, progress):
        if is_interrupted and progress.iteration == 9:
            signal.raise_signal(signal.SIGINT)

    _, progress = fit(Watching(), interrupt)
    assert progress.iteration == (9 if is_interrupted else 19)
    assert bool(ended) != is_interrupted
