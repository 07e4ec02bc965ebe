"""Learning curves. Every expected number was worked out by hand."""

import numpy as np
import pytest

from keras_dqn.report import curves
from keras_dqn.report import reading
from tests import logs

pytestmark = pytest.mark.numpy

T_OF_2_RUNS = 12.706204736  # 97.5 % quantile of Student's t with one degree of freedom


@pytest.fixture
def make_run(tmp_path):
    def make(name, scores, evaluations=(), **settings):
        lines = [logs.metrics(100 * i, score) for i, score in enumerate(scores)]
        lines += [logs.evaluation(*each) for each in evaluations]
        return reading.read(logs.write(tmp_path / name, lines, **settings))

    return make


def test_the_curve_of_a_run_is_its_log_where_there_is_a_value(make_run):
    run = make_run("a", [None, 2.0, 4.0], [(150, [1.0, 3.0])])
    [curve] = curves.curves_of([run])
    assert curve.label == "a" and curve.runs == 1
    assert curve.line.x.tolist() == [100, 200] and curve.line.y.tolist() == [2, 4]
    assert curve.evaluations.x.tolist() == [150]
    assert curve.evaluations.y.tolist() == [2]
    assert curve.evaluations.low.tolist() == pytest.approx([0.04])
    [loss] = curves.curves_of([run], "loss")
    assert loss.line.y.tolist() == [0.5, 0.5, 0.5] and not loss.evaluations.x.size


def test_the_x_axis_counts_steps_frames_or_hours(make_run):
    run = make_run("a", [0.0, 1.0, 2.0], [(150, [1.0])])
    found = {x: curves.curves_of([run], x=x)[0] for x in curves.X_LABELS}
    assert found["frames"].line.x.tolist() == [0, 400, 800]
    assert found["frames"].evaluations.x.tolist() == [600]
    # 100 steps per second: each record is a second after the one before.
    hours = found["hours"]
    np.testing.assert_allclose(hours.line.x * 3600.0, [0, 1, 2])
    np.testing.assert_allclose(hours.evaluations.x * 3600.0, [1.5])


def test_runs_that_differ_in_the_seed_become_their_mean(make_run):
    runs = [
        make_run("a", [1.0, 3.0, 5.0], [(100, [2.0]), (200, [9.0])], seed=1),
        make_run("b", [3.0, 7.0], [(100, [4.0])], seed=2),
        make_run("c", [8.0, 8.0], seed=1, learning_rate=1e-2),
    ]
    slow, fast = curves.curves_of(runs, group_by="learning_rate")
    assert (slow.label, slow.runs, slow.group) == (
        "learning_rate 0.0001, mean of 2 runs",
        2,
        0,
    )
    assert (fast.label, fast.runs, fast.group) == ("learning_rate 0.01", 1, 1)
    assert slow.line.x.tolist() == [0, 100]  # the second run ends there
    assert slow.line.y.tolist() == [2, 5]
    # Standard deviations sqrt(2) and sqrt(8), of the mean 1 and 2.
    half = slow.line.high - slow.line.y
    np.testing.assert_allclose(half, [T_OF_2_RUNS, 2 * T_OF_2_RUNS])
    np.testing.assert_allclose(slow.line.y - slow.line.low, half)
    assert slow.evaluations.x.tolist() == [100] and slow.evaluations.y.tolist() == [3]
    assert fast.line.y.tolist() == fast.line.low.tolist() == [8, 8]


def test_runs_of_a_group_that_differ_in_more_than_the_seed_stay_apart(make_run):
    runs = [make_run(f"g{g}", [1.0, 2.0], gamma=g) for g in (0.9, 0.5)]
    found = curves.curves_of(runs, group_by="learning_rate")
    assert [each.group for each in found] == [0, 0]
    assert found[0].label == "learning_rate 0.0001, gamma 0.9"
    assert found[1].label == "learning_rate 0.0001, gamma 0.5"


def test_groups_of_numbers_are_in_order(make_run):
    rates = (1e-2, 1e-4, 1e-3)
    runs = [make_run(f"r{rate}", [1.0], learning_rate=rate) for rate in rates]
    found = curves.curves_of(runs, group_by="learning_rate")
    assert [each.label.split()[-1] for each in found] == ["0.0001", "0.001", "0.01"]
    backends = curves.curves_of(runs[:1], group_by="backend")
    assert backends[0].label == "backend jax"


def test_a_mean_interpolates_between_records():
    first = (np.array([0.0, 100.0]), np.array([0.0, 10.0]))
    second = (np.array([50.0, 90.0, 200.0]), np.array([1.0, 5.0, 5.0]))
    mean = curves.mean_over_runs([first, second])
    assert mean.x.tolist() == [50, 90, 100]
    np.testing.assert_allclose(mean.y, [3.0, 7.0, 7.5])  # (5+1)/2, (9+5)/2, (10+5)/2


def test_a_mean_of_long_runs_has_no_more_points_than_a_picture_needs():
    x = np.arange(5_003.0)
    mean = curves.mean_over_runs([(x, x), (x, x + 2.0)])
    assert 800 <= len(mean.x) <= 1_001
    assert mean.x[0] == 0 and mean.x[-1] == 5_002
    np.testing.assert_array_equal(mean.y, mean.x + 1.0)


def test_names_that_occur_twice_are_told_apart(make_run):
    runs = [make_run(f"{folder}/run", [1.0]) for folder in ("x", "y")]
    labels = [each.label for each in curves.curves_of(runs)]
    assert labels == [str(run.path) for run in runs]


def test_runs_without_a_value_have_no_curve(make_run):
    runs = [make_run("a", [None]), make_run("b", [1.0]), make_run("c", [])]
    assert [each.label for each in curves.curves_of(runs)] == ["b"]
    assert curves.curves_of(runs[:1]) == []


def test_what_cannot_be_drawn_is_refused(make_run):
    run = make_run("a", [1.0])
    with pytest.raises(ValueError, match="Did you mean `loss`"):
        curves.curves_of([run], "los")
    with pytest.raises(ValueError, match="Did you mean `learning_rate`"):
        curves.curves_of([run], group_by="learningrate")
    pole = reading.read(run.path)
    pole.info["env_options"] = {}
    with pytest.raises(ValueError, match="without emulator frames"):
        curves.curves_of([pole], x="frames")
    apart = [
        (np.array([0.0, 1.0]), np.array([0.0, 1.0])),
        (np.array([2.0, 3.0]), np.array([0.0, 1.0])),
    ]
    with pytest.raises(ValueError, match="no steps in common"):
        curves.mean_over_runs(apart)
