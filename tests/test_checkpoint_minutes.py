"""`checkpoint_interval_minutes`: what a crash at any time costs, by a fake clock."""

import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn import checkpoint
from keras_dqn import presets
from keras_dqn.runs.checkpoints import RunCheckpoints

pytestmark = pytest.mark.numpy

MINUTE = 60.0


class Disk:
    """Stands in for `checkpoint.Store`: a save takes `seconds`, or fails after them."""

    def __init__(self):
        self.now = 0.0
        self.seconds, self.fails = 0.0, False
        self.saving = None
        self.begun = []  # times of all saves
        self.good = 0.0  # when the last good checkpoint was begun

    def begin(self, env_steps, parts, meta):
        self.begun.append(self.now)
        self.saving = Saving(self, self.now, self.now + self.seconds, self.fails)
        return self.saving

    def look(self):
        """Notes a save that is over."""
        saving = self.saving
        if saving is not None and saving.is_over and not saving.fails:
            self.good = max(self.good, saving.began_at)


class Saving:
    nbytes, notes = 1, ()

    def __init__(self, disk, began_at, over_at, fails):
        self.disk, self.began_at = disk, began_at
        self.over_at, self.fails = over_at, fails

    @property
    def is_over(self):
        return self.disk.now >= self.over_at

    def wait_until_written(self, steps):
        pass

    def seconds_left(self):
        return None

    def result(self):
        self.disk.now = max(self.disk.now, self.over_at)
        if self.fails:
            raise OSError("No space left on device")
        return pathlib.Path("checkpoint")


class Run:
    """Trains an iteration at a time, and saves as `Run` does."""

    def __init__(self, monkeypatch, minutes):
        self.disk = disk = Disk()
        monkeypatch.setattr(checkpoint, "Store", lambda *arguments: disk)
        self.saves = RunCheckpoints(
            pathlib.Path("none"),
            lambda text: None,
            interval_minutes=minutes,
            clock=lambda: disk.now,
        )

    def iterate(self, seconds, is_due=False):
        self.disk.now += seconds
        self.disk.look()
        self.saves.poll()
        if is_due or self.saves.is_due():
            frames = np.zeros((2, 4), np.uint8)
            replay = {"frames": frames, "time": np.int64(3)}
            self.saves.begin(0, {"replay": replay}, {})


@pytest.fixture
def run(monkeypatch):
    return Run(monkeypatch, presets.breakout().checkpoint_interval_minutes)


def test_a_slow_run_saves_every_ten_minutes(run):
    for _ in range(31 * 60):
        run.iterate(1.0)
    assert run.disk.begun == [10 * MINUTE, 20 * MINUTE, 30 * MINUTE]


def test_a_checkpoint_on_the_interval_of_iterations_counts_too(run):
    for second in range(1, 31 * 60):
        run.iterate(1.0, is_due=second % 500 == 0)
    assert run.disk.begun == [500.0 * (i + 1) for i in range(3)]


def test_without_a_limit_only_the_iterations_count(monkeypatch):
    run = Run(monkeypatch, None)
    for hour in range(50):
        run.iterate(60 * MINUTE, is_due=hour == 30)
    assert run.disk.begun == [31 * 60 * MINUTE]


def test_no_save_begins_while_another_is_written(run):
    run.disk.seconds = 25 * MINUTE
    for _ in range(36 * 60):
        run.iterate(1.0)
    assert run.disk.begun == [10 * MINUTE, 35 * MINUTE]


def test_a_save_that_failed_is_tried_again_soon_and_three_times_at_most(run):
    run.disk.fails = True
    with pytest.raises(checkpoint.CheckpointError, match="3 checkpoints in a row"):
        for _ in range(60 * 60):
            run.iterate(1.0)
    assert run.disk.begun == [10 * MINUTE, 11 * MINUTE, 12 * MINUTE]
    assert run.disk.now < 15 * MINUTE


@hypothesis_settings(deadline=None, max_examples=25)
@given(data=st.data())
@pytest.mark.parametrize("preset", presets.names())
def test_a_crash_at_any_time_costs_less_than_fifteen_minutes(preset, data):
    """With iterations of up to 20 s, saves of up to 4 min, and failures within 30 s.

    Two saves in a row may fail; the third one then takes at most 30 s, too.
    """
    settings = presets.get(preset)()
    with pytest.MonkeyPatch.context() as monkeypatch:
        run = Run(monkeypatch, settings.checkpoint_interval_minutes)
        interval = settings.checkpoint_interval_iterations
        pace = data.draw(st.floats(0.01, 20.0))
        failures, worst = 0, 0.0
        for iteration in range(1, 300):
            run.iterate(pace, is_due=iteration % interval == 0)
            worst = max(worst, run.disk.now - run.disk.good)
            if run.disk.begun and run.disk.begun[-1] == run.disk.now:
                fails = failures < 2 and data.draw(st.booleans())
                longest = 30.0 if fails or failures else 4 * MINUTE
                failures = failures + 1 if fails else 0
                run.disk.saving.fails = fails
                run.disk.saving.over_at += data.draw(st.floats(0.0, longest))
        assert worst < 15 * MINUTE
