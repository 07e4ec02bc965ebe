"""The monitors of a run, and what event files get when it is resumed."""

import sys

import pytest

from keras_dqn import monitor
from keras_dqn import presets
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.runs.monitors import RunMonitors
from tests.event_files import shown_steps
from tests.event_files import values_of
from tests.records import make_evaluation
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy


class Kept(list):
    write = list.append


def monitors_of(path, tensorboard=False, resumes=False, **options):
    settings = presets.breakout()
    directory = RunDirectory(path)
    return RunMonitors(directory, settings, "none", tensorboard, resumes, **options)


def write(monitors, iterations, resume=None):
    if resume is not None:
        monitors.resume(resume)
    with monitors:
        monitors.start(make_info())
        for i in iterations:
            monitors.write(make_progress(i, seconds=1.0))
            if i % 10 == 9:
                monitors.evaluation(32 * i + 32, make_evaluation([float(i)]), False)


def test_a_resumed_run_goes_on_with_its_event_files(tmp_path):
    write(monitors_of(tmp_path, tensorboard=True), range(30))
    write(monitors_of(tmp_path, resumes=True), range(20, 31), resume=640)
    assert shown_steps(tmp_path, "loss") == [0, 320, 640, 960]
    # The one at the checkpoint was before it, so that TensorBoard must not hide it.
    assert shown_steps(tmp_path, "evaluation/mean") == [320, 640, 960]
    seconds = values_of(tmp_path)["training_seconds"]
    assert [v.simple_value for _, v in seconds] == [1.0, 11.0, 21.0, 12.0, 22.0]


def test_a_run_without_event_files_does_not_begin_some(tmp_path):
    write(monitors_of(tmp_path), range(11))
    write(monitors_of(tmp_path, resumes=True), range(10, 21), resume=320)
    assert not list(tmp_path.glob("events*"))


def test_an_evaluation_that_is_played_again_is_shown_once(tmp_path):
    write(monitors_of(tmp_path, tensorboard=True), range(10))
    monitors = monitors_of(tmp_path, resumes=True)
    monitors.resume(320)
    monitors.evaluation(320, make_evaluation([7.0]), False)  # before `start`
    with monitors:
        monitors.start(make_info())
    assert shown_steps(tmp_path, "evaluation/mean") == [320]
    assert values_of(tmp_path)["evaluation/mean"][-1][1].simple_value == 7.0


def test_the_final_evaluation_of_a_run_that_was_over_is_shown_once(tmp_path):
    monitors = monitors_of(tmp_path, tensorboard=True)
    write(monitors, range(10))
    for _ in range(2):
        monitors.evaluation(320, make_evaluation([5.0]), True)
        monitors = monitors_of(tmp_path, resumes=True)
        monitors.resume(320)
        monitors.close()  # solved: `fit` does not start them
    monitors.evaluation(320, make_evaluation([5.0]), True)
    assert shown_steps(tmp_path, "final_evaluation/mean") == [320]
    assert shown_steps(tmp_path, "evaluation/mean") == [320]


def test_a_missing_package_is_refused_if_it_was_asked_for_and_else_warned_of(
    tmp_path, monkeypatch
):
    write(monitors_of(tmp_path, tensorboard=True), range(1))
    for name in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match="pip install"):
        monitors_of(tmp_path / "new", tensorboard=True)
    assert not (tmp_path / "new").exists()
    monitors = monitors_of(tmp_path, resumes=True)
    assert "event files are not continued" in monitors.warning
    assert "pip install" in monitors.warning
    write(monitors, range(10, 11), resume=320)
    assert len(list(tmp_path.glob("events*"))) == 1


def test_further_monitors_get_every_record_and_the_seconds_before_a_resume(tmp_path):
    for resume in (None, 320):
        kept = Kept()
        monitors = monitors_of(tmp_path, monitors=[monitor.Sink(kept)])
        write(monitors, range(20), resume)
        expected = ["start", "metrics", "evaluation"]
        assert [record["type"] for record in kept[:3]] == expected
    assert kept[1]["training_seconds"] == 1.0 + 1.0  # of the line kept at step 0


@pytest.mark.parametrize("monitors", [monitor.Sink(Kept()), [Kept()], [print]])
def test_what_are_no_monitors_is_refused(tmp_path, monitors):
    with pytest.raises(TypeError, match="`monitors"):
        monitors_of(tmp_path, monitors=monitors)
