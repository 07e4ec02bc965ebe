"""Sinks: an object with `write` gets the records of `metrics.jsonl`."""

import json
import logging
import pathlib
import re
import textwrap
import time

import pytest

from keras_dqn import monitor
from keras_dqn.monitor import sinks
from tests.records import Episode
from tests.records import make_evaluation
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy


class Kept(list):
    write = list.append


def run_with(*monitors):
    both = monitor.Monitors(monitors)
    with both:
        both.start(make_info())
        for i in range(11):
            both.write(make_progress(i, episodes=(Episode(),) if i == 3 else ()))
        both.evaluation(352, make_evaluation([1.0, 2.0]), False)
    both.evaluation(352, make_evaluation([3.0]), True)


def test_a_sink_gets_the_records_of_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    kept, path = Kept(), tmp_path / "metrics.jsonl"
    run_with(monitor.Sink(kept), monitor.JsonLines(path))
    assert kept == [json.loads(line) for line in path.read_text().splitlines()]
    kinds = [record["type"] for record in kept]
    evaluations = ["evaluation"] * 2
    assert kinds == ["start", "metrics", "episode", "metrics", *evaluations]


def test_seconds_before_a_resume_are_not_known():
    kept = Kept()
    sink = monitor.Sink(kept)
    sink.resume(320)
    with sink:
        sink.start(make_info())
        sink.write(make_progress(10))
    assert (kept[0]["env_steps"], kept[1]["training_seconds"]) == (320, None)


def test_a_write_that_raises_is_warned_of_once_and_the_training_goes_on(caplog):
    class Broken:
        calls = 0

        def write(self, record):
            Broken.calls += 1
            raise ConnectionError("no route")

    with caplog.at_level(logging.WARNING):
        run_with(monitor.Sink(Broken()))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Broken (ConnectionError: no route)" in caplog.text
    assert Broken.calls == 6


@pytest.mark.parametrize("target", [print, [], None, Kept])
def test_a_target_without_write_is_refused(target):
    with pytest.raises(TypeError, match=r"method `write\(record\)`"):
        monitor.Sink(target)


def example(name):
    """The class of the docstring with this name, and what it needs."""
    package = pytest.importorskip(
        name.lower() if name != "WeightsAndBiases" else "wandb"
    )
    blocks = re.findall(r"```python\n(.*?)```", sinks.Sink.__doc__, re.DOTALL)
    (block,) = [b for b in map(textwrap.dedent, blocks) if f"class {name}" in b]
    scope = {package.__name__: package}
    # The class is up to the first line that is not indented.
    source = re.match(r"class .*?\n(?=\S)", block, re.DOTALL).group()
    exec(compile(source, name, "exec"), scope)
    return package, scope[name]


@pytest.mark.slow
def test_the_example_for_weights_and_biases_logs_offline(tmp_path, monkeypatch):
    """pip install wandb; pytest -m slow tests/test_monitor_sinks.py"""
    monkeypatch.chdir(tmp_path)
    _, adapter = example("WeightsAndBiases")
    tracker = adapter(mode="offline", project="test")
    run_with(monitor.Sink(tracker))
    assert tracker.run.config["replay_capacity"] == 16384
    tracker.run.log({}, step=1_000)  # the values of a step are stored with the next one
    assert tracker.run.summary["metrics/score_mean"] == 12.345
    assert tracker.run.summary["evaluation/mean"] == 3.0
    tracker.run.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_the_example_for_mlflow_logs_to_a_file(tmp_path, monkeypatch):
    """pip install mlflow; pytest -m slow tests/test_monitor_sinks.py"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow, adapter = example("MLflow")
    mlflow.set_tracking_uri(pathlib.Path(tmp_path / "mlruns").as_uri())
    with mlflow.start_run() as run:
        run_with(monitor.Sink(adapter()))
    data = mlflow.get_run(run.info.run_id).data
    assert data.params["replay_capacity"] == "16384"
    assert data.metrics["metrics/score_mean"] == 12.345
    assert data.metrics["evaluation/mean"] == 3.0


@pytest.mark.slow
def test_the_example_for_trackio_logs_to_a_database(tmp_path, monkeypatch):
    """pip install trackio; pytest -m slow tests/test_monitor_sinks.py"""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    trackio, adapter = example("Trackio")
    run_with(monitor.Sink(adapter("test")))
    trackio.finish()
    (found,) = trackio.Api().runs("test")
    assert found.config["replay_capacity"] == 16384
