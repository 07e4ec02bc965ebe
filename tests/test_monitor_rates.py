"""Every expected number in this file was worked out by hand."""

import pytest

from keras_dqn.monitor import rates
from keras_dqn.monitor import text
from tests.records import make_filling
from tests.records import make_progress

pytestmark = pytest.mark.numpy


def test_the_interval_divides_the_sum_of_steps_by_the_sum_of_seconds():
    interval = rates.IntervalRates()
    interval.add(make_progress(0, seconds=1.0))  # 32 a second
    interval.add(make_progress(1, seconds=0.25))  # 128 a second; the mean is not 80
    interval.add(make_progress(2, seconds=0.75))
    # 96 steps in 2 s; the 16 updates after the first record in 1 s
    assert interval.take() == (48.0, 16.0)


def test_taking_the_rates_starts_a_new_interval():
    interval = rates.IntervalRates()
    interval.add(make_progress(0, seconds=1.0))
    interval.take()
    interval.add(make_progress(1, seconds=0.5))
    assert interval.take() == (64.0, 16.0)


def test_an_interval_without_seconds_has_no_rate_and_no_division_by_zero():
    interval = rates.IntervalRates()
    assert interval.take() == (None, None)
    interval.add(make_progress(0, seconds=0.0))
    assert interval.take() == (None, None)


def test_a_resumed_run_does_not_count_the_updates_of_before():
    interval = rates.IntervalRates()
    interval.add(make_progress(100_000, updates=796_000, seconds=1.0))
    interval.add(make_progress(100_001, updates=796_008, seconds=0.5))
    assert interval.take()[1] == 16.0


def test_the_sliding_rate_looks_back_over_its_window_only():
    rate = rates.SlidingRate(window=10.0)
    rate.add(0.0, 0, 0)
    rate.add(100.0, 1000, 10)  # slow: 10 a second
    rate.add(105.0, 1500, 20)
    rate.add(111.0, 2100, 42)  # since 100 s: 1100 in 11 s
    assert rate.rates() == (100.0, 32 / 11)


def test_the_sliding_rate_knows_nothing_from_one_point_or_from_no_time():
    rate = rates.SlidingRate(window=10.0)
    assert rate.rates() is None
    rate.add(5.0, 100)
    assert rate.rates() is None
    rate.add(5.0, 200)
    assert rate.rates() is None


def test_the_time_left_is_the_steps_left_over_the_rate():
    progress = make_filling(0, env_steps_done=1000, total_env_steps=7000)
    assert rates.seconds_left(progress, 100.0) == 60.0
    assert rates.seconds_left(progress, 0.0) is None
    assert rates.seconds_left(progress, None) is None
    over = make_filling(0, env_steps_done=7010, total_env_steps=7000)
    assert rates.seconds_left(over, 100.0) == 0.0


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (9999, "9,999"),
        (16384, "16.4k"),
        (20000, "20k"),
        (999_949, "999.9k"),
        (1_250_000, "1.25M"),
        (40_000_000, "40M"),
        (2_000_000_000, "2G"),
    ],
)
def test_counts_are_shortened(count, expected):
    assert text.short(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.9, "0:00:00"),
        (67, "0:01:07"),
        (11_422, "3:10:22"),
        (183_000, "2d 02:50"),
        (None, "-"),
        (float("inf"), "-"),
    ],
)
def test_durations_read_as_a_clock(seconds, expected):
    assert text.duration(seconds) == expected


def test_a_hundred_percent_is_said_only_of_the_whole():
    assert text.percent(99_999, 100_000) == "99.9 %"
    assert text.percent(100_000, 100_000) == "100.0 %"
    assert text.percent(1, 0) == "-"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_not_a_finite_number_is_a_dash(value):
    assert text.number(value, ".2f") == "-"


def test_memory_is_mebibytes_below_a_gibibyte():
    assert text.memory(2**30 - 2**20) == "1023.0 MiB"
    assert text.memory(5 * 2**29) == "2.50 GiB"
