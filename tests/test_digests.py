"""Digests tell runs apart, and say where and in what they parted."""

import dataclasses
import json

import numpy as np
import pytest

from keras_dqn.envs.step import Episode
from keras_dqn.progress import Progress
from keras_dqn.run_state import RunState
from keras_dqn.runs import digests

pytestmark = pytest.mark.numpy


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.array([1.0, 2.5])},
        {"b": np.array([1.0, 2.0])},
        {"a": np.array([1.0, 2.0], np.float32)},
        {"a": np.array([[1.0, 2.0]])},
        {"a": np.array([1.0, 2.0]), "b": np.zeros(0)},
        {"a": np.array([1.0, np.nextafter(2.0, 3.0)])},
    ],
)
def test_names_dtypes_shapes_and_every_bit_count(other):
    same = {"a": np.array([1.0, 2.0])}
    assert digests.of_arrays(same) == digests.of_arrays({"a": np.array([1.0, 2.0])})
    assert digests.of_arrays(same) != digests.of_arrays(other)


def test_the_order_of_names_and_of_memory_does_not_count():
    a, b = np.arange(6).reshape(2, 3), np.bool_(True)
    turned = np.asfortranarray(a)
    assert digests.of_arrays({"a": a, "b": b}) == digests.of_arrays(
        {"b": b, "a": turned}
    )


def progress(**changes):
    fields = {field.name: 0 for field in dataclasses.fields(Progress)}
    values = {"episodes": (), "best_frame": None, "histogram_q": None}
    return Progress(**{**fields, **values, **changes})


def test_all_of_a_record_counts_but_the_clock():
    one = digests.of_progress(progress(seconds=1.0))
    assert one == digests.of_progress(progress(seconds=2.0))
    frame = np.zeros((2, 2), np.uint8)
    episode = Episode(**{field.name: 0 for field in dataclasses.fields(Episode)})
    others = [
        progress(loss=1e-9),
        progress(histogram_q=np.float32([0.0])),
        progress(best_frame=frame),
        progress(episodes=(episode,)),
        progress(episodes=(dataclasses.replace(episode, final_frame=frame),)),
        progress(episodes=(dataclasses.replace(episode, final_frame=frame + 1),)),
    ]
    assert len({one, *map(digests.of_progress, others)}) == len(others) + 1


def test_counters_generators_and_episodes_are_told_apart():
    state = RunState.from_seed(3)
    before = digests.of_run_state(state)
    assert before == digests.of_run_state(RunState.from_seed(3))
    state.replay_rng.random()
    state.statistics.best_score = 1.0
    after = digests.of_run_state(state)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"generators", "episodes"}


def test_metrics_are_compared_without_times_and_starts(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return digests.of_metrics(path)

    line = {"type": "metrics", "env_steps": 5, "env_steps_per_second": 1.0}
    start = {"type": "start", "env_steps": 0}
    one = write("a", start, line)
    assert one == write("b", {**line, "env_steps_per_second": 2.0})
    assert one == write("b", {**line, "time": 3.0, "training_seconds": 4.0})
    assert one != write("c", line, line)
    assert one != write("d", {**line, "loss": 1.0})


def test_a_log_that_is_continued_from_the_middle_is_the_same_log(tmp_path):
    parts = [{"online": str(i)} for i in range(6)]
    whole = digests.DigestLog(tmp_path / "whole")
    for i in range(6):
        whole.add(i, parts[i])
    for stop, start in [(4, 2), (4, 4), (6, 0)]:
        path = tmp_path / f"resumed-{stop}-{start}"
        log = digests.DigestLog(path)
        for i in range(stop):
            log.add(i, parts[i])
        with open(path, "a") as file:
            file.write('{"iteration": 4, "par')  # killed while it wrote
        log = digests.DigestLog(path)
        for i in range(start, 6):
            log.add(i, parts[i])
        assert path.read_text() == whole.path.read_text()


def test_where_two_runs_differ_first_is_said_by_iteration_and_part(tmp_path):
    one, other = (digests.DigestLog(tmp_path / name) for name in "ab")
    for i in range(4):
        one.add(i, {"online": "x", "replay": "y"})
        other.add(i, {"online": "x", "replay": "z" if i == 2 else "y"})
    lines, others = digests.read_log(one.path), digests.read_log(other.path)
    assert digests.first_difference(lines, lines) is None
    assert digests.first_difference(lines, others) == "iteration 2: replay"
    assert digests.first_difference(lines, lines[:3]).endswith("iterations: 4 and 3")
    assert digests.first_difference(lines, lines[1:]).endswith("0 and 1")
