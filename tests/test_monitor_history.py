"""The curves of a whole run in bounded memory. Numbers were worked out by hand."""

import json

import pytest

from keras_dqn.monitor.history import History
from keras_dqn.monitor.history import bars
from keras_dqn.monitor.history import read_past

pytestmark = pytest.mark.numpy


def history_of(values):
    history = History()
    for value in values:
        history.add(value)
    return history


def test_a_short_series_is_kept_as_it_is_and_gaps_are_left_out():
    history = history_of([None, 1.0, float("nan"), 2.0, float("inf"), None, 4.0])
    assert history.points(100) == [1.0, 2.0, 4.0]
    assert history.points(2) == [1.0, 3.0]  # (2 + 4) / 2
    assert history.points(1) == [pytest.approx(7 / 3)]
    assert history_of([]).points(10) == []


def test_a_long_series_keeps_its_beginning_its_end_and_few_points():
    history = history_of(float(i) for i in range(100_000))
    points = history.points(1_000)
    assert 128 <= len(points) <= 256
    assert points == sorted(points)
    assert points[0] < 1_000 and points[-1] > 99_000


def test_points_are_means_of_equal_spans():
    # 256 values are merged to pairs; the 257th begins a span of two
    points = history_of(float(i) for i in range(257)).points(1_000)
    assert points == [0.5 + 2 * i for i in range(128)] + [256.0]


def test_the_lowest_point_has_the_smallest_bar_and_the_highest_the_largest():
    assert bars([-3.0, 0.0, 4.0]) == "▁▄█"
    assert bars([5.0, 5.0]) == "▄▄"
    assert bars([]) == ""
    assert bars([0.0, 7.0, 3.0], is_ascii=True) == "_#~"


def test_the_past_is_read_up_to_the_resume_and_damage_is_left_out(tmp_path):
    log = tmp_path / "metrics.jsonl"
    lines = [
        '{"type": "start", "env_steps": 0}',
        '{"type": "metrics", "env_steps": 0, "loss": null, "score_mean": 1.0}',
        '{"type": "metrics", "env_steps": "x", "loss": 5.0}',
        '{"type": "metrics", "env_steps": 1',
        '{"type": "episode", "env_steps": 8, "score": 9.0}',
        '{"type": "metrics", "env_steps": 8, "loss": 2.0, "training_seconds": 4}',
        '{"type": "metrics", "env_steps": 16, "loss": 3.0, "training_seconds": 8}',
    ]
    log.write_text("\n".join(lines))
    past = read_past(log, 16)
    assert past.seconds == 4.0
    assert past.scores.points(10) == [1.0] and past.losses.points(10) == [2.0]


def test_without_log_or_times_the_seconds_of_before_are_not_known(tmp_path):
    assert read_past(None, 0).seconds == 0.0
    assert read_past(None, 8).seconds is None
    assert read_past(tmp_path / "none.jsonl", 8).seconds is None
    old = tmp_path / "old.jsonl"
    old.write_text(json.dumps({"type": "metrics", "env_steps": 0, "loss": 1.0}))
    past = read_past(old, 8)
    assert past.seconds is None and past.losses.points(10) == [1.0]
