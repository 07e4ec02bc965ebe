"""metrics.jsonl, read back."""

import json
import logging
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_dqn import monitor
from keras_dqn.monitor import jsonl
from tests.records import Clock
from tests.records import Episode
from tests.records import make_evaluation
from tests.records import make_filling
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


def write(path, iterations, resume=None, **changes):
    log = monitor.JsonLines(path)
    if resume is not None:
        log.resume(resume)
    with log:
        log.start(make_info())
        for iteration in iterations:
            log.write(make_progress(iteration, **changes))


def read(path, kind=None):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if kind in (None, line["type"])]


def steps(path, kind="metrics"):
    return [line["env_steps"] for line in read(path, kind)]


def test_one_object_comes_for_each_interval_and_one_for_each_episode(tmp_path):
    path = tmp_path / "deep" / "metrics.jsonl"
    with monitor.JsonLines(path) as log:
        log.start(make_info())
        for i in range(21):
            episodes = (Episode(score=5.0, length=9), Episode()) if i == 3 else ()
            log.write(make_progress(i, episodes=episodes))
    assert steps(path) == [0, 320, 640]
    first, _ = read(path, "episode")
    assert first == {
        "type": "episode",
        "env_steps": 96,
        "time": 1000.0,
        "env_index": 0,
        "score": 5.0,
        "length": 9,
        "lives": 4,
        "truncated": False,
    }


def test_the_figures_are_those_of_the_record(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(11))
    assert read(path, "metrics")[1] == {
        "type": "metrics",
        "env_steps": 320,
        "time": 1000.0,
        "iteration": 10,
        "updates": 80,
        "training_seconds": 2.75,  # 11 x 0.25 s
        "env_steps_per_second": 128.0,  # 32 in 0.25 s
        "updates_per_second": 32.0,  # 8 in 0.25 s
        "loss": 0.125,
        "q_mean": 1.5,
        "q_std": 0.75,
        "td_error": 0.0625,
        "epsilon": 0.25,
        "beta": 0.5,
        "episode_count": 150,
        "score_mean": 12.345,
        "length_mean": 31.25,
        "best_score": 42.0,
        "replay_size": 16384,
        "replay_nbytes": 64 * 2**20,
        "replay_fill": 1.0,
        "learning_rate": 0.0625,
        "gradient_norm": 0.375,
        "effective_sample_size": 24.5,
        "sample_age_mean": 8000.0,
        "max_priority": 3.5,
    }


def test_the_first_line_says_what_runs(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [])
    (line,) = read(path)
    assert (line["type"], line["env_steps"], line["seed"]) == ("start", 0, 7)
    assert line["env_options"] == {"life_loss": "terminal", "frame_skip": 4}


def test_what_is_not_known_or_not_finite_is_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with monitor.JsonLines(path) as log:
        log.start(make_info())
        log.write(make_filling(0))
        log.write(make_progress(10, loss=float("nan"), q_mean=np.float32("inf")))
    first, second = read(path, "metrics")
    assert [first[key] for key in ("score_mean", "loss", "q_mean")] == [None] * 3
    assert (second["loss"], second["q_mean"], second["q_std"]) == (None, None, 0.75)
    assert "NaN" not in path.read_text()


def test_numpy_values_are_written_as_numbers(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(
        path, [0], loss=np.float32(0.5), updates=np.int64(3), score_mean=np.float64(2)
    )
    line = read(path, "metrics")[0]
    assert (line["loss"], line["updates"], line["score_mean"]) == (0.5, 3, 2.0)


def test_a_second_run_appends(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(11))
    write(path, range(11))
    assert steps(path) == [0, 320, 0, 320]


def test_a_line_is_on_disk_before_the_next_iteration(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = monitor.JsonLines(path)
    log.start(make_info())
    log.write(make_progress(0))
    assert steps(path) == [0]
    log.close()


def test_a_resumed_log_equals_one_that_was_never_interrupted(tmp_path):
    """R14: no step is in the log twice, and none is missing."""
    whole, resumed = tmp_path / "whole.jsonl", tmp_path / "resumed.jsonl"
    episodes = (Episode(),)
    write(whole, range(41), episodes=episodes)
    write(resumed, range(35), episodes=episodes)  # killed; checkpoint before 21
    write(resumed, range(21, 41), resume=21 * 32, episodes=episodes)
    for kind in ("metrics", "episode"):
        assert steps(resumed, kind) == steps(whole, kind)
    assert steps(resumed, "start") == [0, 672]


def test_resuming_twice_leaves_no_step_twice(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(41))
    write(path, range(30, 61), resume=30 * 32)
    write(path, range(20, 31), resume=20 * 32)  # an older checkpoint
    assert steps(path) == [0, 320, 640, 960]


def test_resuming_leaves_an_earlier_run_in_the_file_alone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(41))
    write(path, range(21))
    write(path, range(10, 21), resume=10 * 32)
    assert steps(path) == [0, 320, 640, 960, 1280, 0, 320, 640]


def test_the_time_of_a_line_is_that_of_the_clock_to_a_tenth(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    clock.seconds = 1_800_000_000.26
    write(path, [0])
    assert [line["time"] for line in read(path)] == [1_800_000_000.3] * 2


def training_seconds(path):
    return [line["training_seconds"] for line in read(path, "metrics")]


def test_training_seconds_continue_from_the_last_line_that_is_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(31), seconds=1.0)
    write(path, range(20, 31), resume=20 * 32, seconds=2.0)
    assert training_seconds(path) == [1.0, 11.0, 11.0 + 2.0, 11.0 + 22.0]
    write(path, range(11), seconds=1.0)  # a new run in the same file
    write(path, range(10, 11), resume=320, seconds=5.0)
    assert training_seconds(path)[4:] == [1.0, 6.0]
    write(path, range(1), resume=0, seconds=7.0)  # from the beginning
    assert training_seconds(path)[4:] == [7.0]


def test_training_seconds_of_an_older_log_are_not_known(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(11))
    lines = read(path)
    for line in lines:
        line.pop("training_seconds", None)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write(path, range(20, 31), resume=20 * 32)
    assert [x.get("training_seconds") for x in read(path, "metrics")] == [None] * 4
    path.unlink()
    write(path, range(20, 21), resume=20 * 32)
    assert training_seconds(path) == [None]


def test_an_evaluation_is_a_line_with_each_game(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with monitor.JsonLines(path) as log:
        log.start(make_info())
        log.evaluation(320, make_evaluation([1.0, 3.0]), False)
    assert read(path, "evaluation") == [
        {
            "type": "evaluation",
            "env_steps": 320,
            "time": 1000.0,
            "mean": 2.0,
            "std": pytest.approx(2**0.5),
            "interval": [pytest.approx(0.04), pytest.approx(3.96)],
            "episodes": 2,
            "epsilon": 0.05,
            "scores": [1.0, 3.0],
            "lengths": [10, 11],
            "is_final": False,
        }
    ]


def test_the_final_evaluation_is_written_after_the_log_was_closed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = monitor.JsonLines(path)
    with log:
        log.start(make_info())
        log.write(make_progress(0))
    log.evaluation(32, make_evaluation([1.0]), True)
    (line,) = read(path, "evaluation")
    assert line["is_final"] is True and read(path)[-1] == line


def evaluated(path, *evaluations, resume=None, starts=True):
    """Writes evaluations: `(env_steps, score, is_final)` of each."""
    log = monitor.JsonLines(path)
    if resume is not None:
        log.resume(resume)
    if starts:
        log.start(make_info())
    for env_steps, score, is_final in evaluations:
        log.evaluation(env_steps, make_evaluation([score]), is_final)
    log.close()


def evaluations(path):
    return [
        (x["env_steps"], x["mean"], x["is_final"]) for x in read(path, "evaluation")
    ]


def test_resuming_keeps_the_evaluation_that_was_before_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    evaluated(path, (320, 1.0, False), (640, 2.0, False), (960, 3.0, False))
    before = path.read_bytes()
    evaluated(path, resume=640)
    assert evaluations(path) == [(320, 1.0, False), (640, 2.0, False)]
    assert path.read_bytes().startswith(before[: before.rindex(b"\n", 0, -1) + 1])
    evaluated(path, resume=640)
    assert evaluations(path) == [(320, 1.0, False), (640, 2.0, False)]


def test_resuming_removes_the_evaluation_after_the_training(tmp_path):
    path = tmp_path / "metrics.jsonl"
    evaluated(path, (320, 1.0, False), (320, 1.5, True))
    evaluated(path, (320, 1.5, True), resume=320)
    assert evaluations(path) == [(320, 1.0, False), (320, 1.5, True)]


def test_an_evaluation_that_is_played_again_is_in_the_log_once(tmp_path):
    """A stop aborted it, and the resumed run was killed after it."""
    path = tmp_path / "metrics.jsonl"
    evaluated(path)
    for score in (2.0, 3.0):
        evaluated(path, (320, score, False), resume=320, starts=False)
        assert evaluations(path) == [(320, score, False)]
    evaluated(path, (640, 4.0, False), resume=320)
    assert evaluations(path) == [(320, 3.0, False), (640, 4.0, False)]


def test_an_evaluation_is_no_proof_of_a_checkpoint_at_its_agent_steps(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with monitor.JsonLines(path) as log:
        log.start(make_info())
        log.write(make_progress(10))
        log.evaluation(352, make_evaluation([1.0] * 1_000), False)
    assert jsonl.last_env_steps(path) == 320
    write(path, [0])  # a new run in the same file
    assert jsonl.last_env_steps(path) == 0


def test_half_a_line_left_by_a_crash_is_cut_off_on_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(11))
    with open(path, "a") as file:
        file.write('{"type": "metrics", "env_st')
    write(path, range(20, 21), resume=20 * 32)
    assert steps(path) == [0, 320, 640]  # and every line can be read


def test_half_a_line_left_by_a_crash_does_not_spoil_the_next_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"type": "metr')
    write(path, range(1))
    torn, start, metrics = path.read_text().splitlines()
    assert json.loads(start)["type"] == "start"
    assert json.loads(metrics)["env_steps"] == 0


def test_resuming_without_a_file_starts_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(10, 21), resume=320)
    assert steps(path) == [320, 640]


def test_resuming_a_log_that_has_started_is_refused(tmp_path):
    with monitor.JsonLines(tmp_path / "metrics.jsonl") as log:
        log.start(make_info())
        with pytest.raises(RuntimeError, match="before `start`"):
            log.resume(0)


def test_a_directory_that_cannot_be_made_is_warned_of_once(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "file" / "metrics.jsonl", range(31))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Training goes on" in caplog.text


def test_a_full_disk_is_warned_of_once_and_leaves_whole_lines(tmp_path):
    """O7, with a limit on the size of files in place of a small disk."""
    path = tmp_path / "metrics.jsonl"
    code = f"import sys\nfrom test_monitor_jsonl import fill\nfill({str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=__file__.rsplit("/", 1)[0],
        env={
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",  # half of it would stay behind
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "went on\n"
    assert done.stderr.count("Cannot write") == 1
    assert path.stat().st_size <= 4096
    assert len(read(path, "metrics")) > 3  # and every line can be read


def fill(path):
    """Writes more than a file may hold."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    with monitor.JsonLines(path) as log:
        log.start(make_info())
        for i in range(0, 1000, 10):
            log.write(make_progress(i))
    print("went on")


def test_writing_goes_on_where_there_is_room_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = monitor.JsonLines(path)
    log.start(make_info())
    log.write(make_progress(0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 7, before[1]))
    try:
        log.write(make_progress(10))  # 7 bytes fit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.stat().st_size == size
    log.write(make_progress(20))
    log.close()
    assert steps(path) == [0, 640]


def test_closing_twice_is_harmless_and_later_records_are_ignored(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = monitor.JsonLines(path)
    log.start(make_info())
    log.close()
    log.close()
    log.write(make_progress(0))
    assert steps(path) == []
