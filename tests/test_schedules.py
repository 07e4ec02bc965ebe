"""Every expected number in this file was worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn.schedules import PiecewiseSchedule

pytestmark = pytest.mark.numpy

REFERENCE_EPSILON = PiecewiseSchedule(
    ((0, 1.0), (1_000_000, 0.1), (20_000_000, 0.01)), outside_value=0.01
)
REFERENCE_BETA = PiecewiseSchedule(((0, 0.4), (40_000_000, 1.0)), outside_value=1.0)


@pytest.mark.parametrize(
    "env_steps, epsilon",
    [
        (0, 1.0),
        (32, 0.9999712),
        (16_352, 0.9852832),
        (500_000, 0.55),
        (999_968, 0.1000288),
        (1_000_000, 0.1),
        (10_500_000, 0.055),
        (20_000_000, 0.01),
        (40_000_000, 0.01),
    ],
)
def test_epsilon_has_the_worked_values_of_the_reference(env_steps, epsilon):
    assert REFERENCE_EPSILON(env_steps) == pytest.approx(epsilon, abs=1e-12)


@pytest.mark.parametrize(
    "env_steps, beta",
    [
        (0, 0.4),
        (500_000, 0.4075),
        (1_000_000, 0.415),
        (10_500_000, 0.5575),
        (20_000_000, 0.7),
        (39_999_968, 0.99999952),
        (40_000_000, 1.0),
    ],
)
def test_beta_has_the_worked_values_of_the_reference(env_steps, beta):
    assert REFERENCE_BETA(env_steps) == pytest.approx(beta, abs=1e-12)


@pytest.mark.parametrize(
    "x, y",
    [(9, -1.0), (10, 0.0), (19, 90.0), (20, 100.0), (25, 50.0), (30, -1.0), (31, -1.0)],
)
def test_segments_hold_their_left_end_and_not_their_right_end(x, y):
    # The last point's own value, 0.0, is approached and never returned.
    schedule = PiecewiseSchedule(((10, 0.0), (20, 100.0), (30, 0.0)), -1.0)
    assert schedule(x) == pytest.approx(y)


def test_each_side_of_a_point_follows_its_own_line():
    schedule = PiecewiseSchedule(((0, 0.0), (10, 10.0), (20, 0.0)), -1.0)
    assert schedule(9.5) == pytest.approx(9.5)
    assert schedule(10.5) == pytest.approx(9.5)


@pytest.mark.parametrize(
    "endpoints",
    [
        ((10, 1.0), (0, 0.0)),
        ((0, 1.0), (0, 0.0)),
        ((0, 1.0), (10, 0.5), (10, 0.0)),
        ((0, 1.0), (10, 0.5), (5, 0.0)),
    ],
)
def test_endpoints_that_do_not_strictly_increase_are_refused(endpoints):
    with pytest.raises(ValueError, match="strictly increasing x.*Received"):
        PiecewiseSchedule(endpoints, 0.0)


@pytest.mark.parametrize(
    "endpoints",
    [
        5,
        ((0, 1.0),),
        ((0, 1.0), (1,)),
        ((0, 1.0), 7),
        ((0, 1.0), (1, math.nan)),
        ((0, 1.0), (math.inf, 0.0)),
        ((0, 1.0), (True, 0.0)),
        ((0, 1.0), ("1", 0.0)),
    ],
)
def test_what_is_no_list_of_finite_points_is_refused(endpoints):
    with pytest.raises(ValueError, match="Received"):
        PiecewiseSchedule(endpoints, 0.0)


@pytest.mark.parametrize("outside_value", [math.nan, math.inf, None, "0", True])
def test_an_outside_value_that_is_no_finite_number_is_refused(outside_value):
    with pytest.raises(ValueError, match="`outside_value`.*Received"):
        PiecewiseSchedule(((0, 1.0), (1, 0.0)), outside_value)


@pytest.mark.parametrize("x", [math.nan, None, "0", [0]])
def test_an_argument_that_is_no_number_is_refused(x):
    with pytest.raises(ValueError, match="`x` must be a finite number"):
        REFERENCE_EPSILON(x)


def test_no_endpoints_make_a_constant():
    schedule = PiecewiseSchedule((), 0.3)
    assert [schedule(x) for x in (-1, 0, 10**9)] == [0.3, 0.3, 0.3]


def test_numpy_numbers_give_the_same_python_float():
    value = REFERENCE_EPSILON(np.int64(500_000))
    assert type(value) is float
    assert value == REFERENCE_EPSILON(500_000)


def test_equal_schedules_are_equal_whatever_sequences_they_were_made_of():
    assert PiecewiseSchedule([[0, 1], [np.int64(9), 0]], 0) == PiecewiseSchedule(
        ((0, 1.0), (9, 0.0)), 0.0
    )
    assert REFERENCE_EPSILON != REFERENCE_BETA
    assert PiecewiseSchedule(((0, 1), (9, 0)), 0) != PiecewiseSchedule(
        ((0, 1), (9, 0)), 1
    )


def test_the_repr_makes_an_equal_schedule():
    assert eval(repr(REFERENCE_EPSILON)) == REFERENCE_EPSILON


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        REFERENCE_EPSILON.outside_value = 0.5


@st.composite
def schedules(draw):
    xs = draw(st.lists(st.integers(0, 2**60), min_size=2, max_size=5, unique=True))
    ys = st.floats(-1e6, 1e6)
    return PiecewiseSchedule([(x, draw(ys)) for x in sorted(xs)], draw(ys))


@hypothesis_settings(deadline=None)
@given(schedules(), st.integers(0, 2**60))
def test_a_value_lies_between_the_ends_of_its_segment(schedule, x):
    value = schedule(x)
    for (x1, y1), (x2, y2) in zip(
        schedule.endpoints, schedule.endpoints[1:], strict=False
    ):
        if x1 <= x < x2:
            assert min(y1, y2) <= value <= max(y1, y2)
            return
    assert value == schedule.outside_value


@hypothesis_settings(deadline=None)
@given(schedules())
def test_each_endpoint_but_the_last_has_its_own_value(schedule):
    for x, y in schedule.endpoints[:-1]:
        assert schedule(x) == y
    assert schedule(schedule.endpoints[-1][0]) == schedule.outside_value
