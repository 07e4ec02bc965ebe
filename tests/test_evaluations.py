"""Evaluations on the way: when they are played, what is kept, what is remembered."""

import types

import pytest

from keras_dqn import presets
from keras_dqn.runs.evaluations import Evaluations

pytestmark = pytest.mark.numpy


class Table:
    """Plays games of given means; `None` is a request to stop."""

    def __init__(
        self, means, interval=2, stop_at_score=None, fails=False, minutes=None
    ):
        settings = presets.cartpole(
            evaluation_interval_iterations=interval,
            evaluation_interval_minutes=minutes,
            stop_at_score=stop_at_score,
        )
        self.now, self.seconds_of_play = 0.0, 0.0
        self.means, self.fails = list(means), fails
        self.numbers, self.saved, self.said = [], [], []
        self.evaluations = Evaluations(
            settings, self.play, self.save, self.said.append, clock=lambda: self.now
        )

    def play(self, number):
        self.now += self.seconds_of_play
        self.numbers.append(number)
        mean = self.means.pop(0)
        return None if mean is None else types.SimpleNamespace(mean=mean)

    def save(self):
        if self.fails:
            raise OSError("No space")
        self.saved.append(self.numbers[-1])

    def iterate(self, iteration, updates=1):
        state = types.SimpleNamespace(iteration=iteration, updates=updates)
        return self.evaluations.after_iteration(state, 10 * iteration)


def test_they_are_played_at_intervals_once_there_were_updates():
    table = Table([1.0, 3.0, 2.0])
    for iteration in range(1, 9):
        assert table.iterate(iteration, updates=iteration > 2) is False
    assert table.numbers == [40, 60, 80]
    assert table.saved == [40, 60]  # the third was not better
    assert table.evaluations.to_meta() == {
        "best_score": 3.0,
        "last_score": 2.0,
        "pending_evaluation": None,
    }


def test_without_an_interval_none_is_played():
    table = Table([], interval=None)
    assert not any(table.iterate(i) for i in range(10)) and table.numbers == []


def test_they_are_played_after_minutes_of_training():
    table = Table([1.0] * 3, interval=None, minutes=2.0)
    table.seconds_of_play = 500.0  # which do not count
    for iteration in range(20):
        table.iterate(iteration, updates=iteration >= 4)
        table.now += 30.0
    assert table.numbers == [80, 120, 160]


def test_minutes_count_from_an_evaluation_at_an_interval_of_iterations():
    table = Table([1.0] * 3, interval=5, minutes=2.0)
    for iteration in range(1, 12):
        table.iterate(iteration)
        table.now += 30.0
    assert table.numbers == [50, 90, 100]


def test_a_score_that_ends_the_run_may_be_looked_for_by_minutes():
    table = Table([5.0], interval=None, minutes=0.5, stop_at_score=5.0)
    assert table.iterate(1) is False
    table.now = 30.0
    assert table.iterate(2) is True


def test_one_that_is_good_enough_ends_the_run_and_stays_so():
    table = Table([4.0, 5.0], stop_at_score=5.0)
    assert table.iterate(2) is False
    assert table.iterate(4) is True and table.evaluations.is_solved
    later = Table([], stop_at_score=5.0)
    later.evaluations.load_meta(table.evaluations.to_meta())
    assert later.evaluations.catch_up() is True and later.numbers == []
    for changed in (6.0, None):
        later = Table([], stop_at_score=changed)
        later.evaluations.load_meta(table.evaluations.to_meta())
        assert later.evaluations.catch_up() is False and later.numbers == []


def test_one_that_was_broken_off_is_played_first_when_the_run_goes_on():
    table = Table([2.0, None])
    table.iterate(2)
    assert table.iterate(4) is False
    meta = table.evaluations.to_meta()
    assert meta == {"best_score": 2.0, "last_score": 2.0, "pending_evaluation": 40}
    for means, pending in (([None], 40), ([3.0], None)):
        later = Table(means)
        later.evaluations.load_meta(meta)
        assert later.evaluations.catch_up() is False
        assert later.numbers == [40]
        assert later.evaluations.to_meta()["pending_evaluation"] == pending
    assert later.saved == [40]


def test_a_network_that_cannot_be_saved_is_said_and_may_be_saved_next_time():
    table = Table([2.0, 1.0], fails=True)
    table.iterate(2)
    assert table.said[-1] == "Could not save the best network: No space"
    table.fails = False
    table.iterate(4)
    assert table.saved == [40]


def test_checkpoints_that_know_less_are_taken_too():
    table = Table([])
    table.evaluations.load_meta({"best_score": None})
    assert table.evaluations.catch_up() is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"best_score": "9"},
        {"best_score": float("inf")},
        {"best_score": True},
        {"last_score": [1.0]},
        {"last_score": float("nan")},
        {"pending_evaluation": -1},
        {"pending_evaluation": 1.5},
        {"pending_evaluation": 2**63},
    ],
)
def test_impossible_values_are_refused(wrong):
    table = Table([])
    good = table.evaluations.to_meta()
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be a"):
        table.evaluations.load_meta({**good, **wrong})
