"""Runs are read as they were logged, also damaged and older ones."""

import gzip
import json

import numpy as np
import pytest

from keras_dqn.report import reading
from tests import logs

pytestmark = pytest.mark.numpy


def test_a_run_has_what_its_log_has(tmp_path):
    lines = [
        logs.metrics(0, None, loss=None, training_seconds=36.0),
        logs.episode(10, 3.0),
        logs.metrics(400, 3.0, training_seconds=360.0),
        logs.evaluation(500, [1.0, 3.0]),
        logs.episode(600, 5.0),
        logs.evaluation(800, [4.0], is_final=True),
    ]
    run = reading.read(logs.write(tmp_path / "first", lines, seed=3))
    assert (run.name, run.env_id, run.backend) == ("first", "ALE/Breakout", "jax")
    assert run.settings["seed"] == 3 and run.frame_skip == 4
    assert run.score_units == "games"
    np.testing.assert_array_equal(run.metrics["env_steps"], [0, 400])
    np.testing.assert_array_equal(run.metrics["loss"], [np.nan, 0.5])
    np.testing.assert_allclose(run.metrics["hours"], [0.01, 0.1])
    np.testing.assert_array_equal(run.episode_scores, [3, 5])
    np.testing.assert_array_equal(run.episode_env_steps, [10, 600])
    first, last = run.evaluations
    assert (first.env_steps, first.mean, first.is_final) == (500, 2.0, False)
    # The standard deviation of 1 and 3 is sqrt(2), that of the mean is 1.
    assert first.interval == pytest.approx((0.04, 3.96))
    assert (last.env_steps, last.interval, last.is_final) == (800, (4.0, 4.0), True)
    assert last.epsilon == 0.05 and last.lengths.tolist() == [10]
    assert run.warnings == () and run.resumed_at == () and run.env_steps == 800


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "metrics", "env_st',
        "[1, 2]",
        '"text"',
        "\x00\x00\x00",
        '{"env_steps": 3}',
        '{"type": "metrics"}',
        '{"type": "metrics", "env_steps": -1}',
        '{"type": "metrics", "env_steps": "7"}',
        '{"type": "metrics", "env_steps": 7, "loss": "high"}',
        '{"type": "metrics", "env_steps": 7, "loss": 1' + "0" * 400 + "}",
        '{"type": "episode", "env_steps": 7, "score": [1]}',
        '{"type": "evaluation", "env_steps": 7, "scores": []}',
        '{"type": "evaluation", "env_steps": 7, "scores": [1, null]}',
        '{"type": "start", "env_steps": 7, "settings": 3}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_left_out_with_a_warning_that_names_it(line, tmp_path):
    lines = [logs.metrics(0, 1.0), line, logs.metrics(100, 2.0)]
    run = reading.read(logs.write(tmp_path, lines))
    np.testing.assert_array_equal(run.metrics["score_mean"], [1, 2])
    assert not run.evaluations and not len(run.episode_scores)
    [warning] = run.warnings
    assert warning.startswith(f"{tmp_path / 'metrics.jsonl'}, line 3: ")
    assert "\n" not in warning and len(warning) < len(str(tmp_path)) + 200


def test_many_damaged_lines_are_counted(tmp_path):
    run = reading.read(logs.write(tmp_path, [logs.metrics(0, 1.0), *["{"] * 10]))
    assert len(run.warnings) == 4
    assert run.warnings[-1].endswith("7 more damaged lines, skipped")


def test_lines_of_an_unknown_type_and_empty_ones_are_no_damage(tmp_path):
    newer = logs.metrics(3, 1.0, losses=[1, 2])
    lines = [{"type": "new", "env_steps": 1, "x": []}, "", newer]
    run = reading.read(logs.write(tmp_path, lines))
    assert run.warnings == () and run.metrics["env_steps"].tolist() == [3]


def test_values_that_are_not_finite_are_unknown(tmp_path):
    line = '{"type": "metrics", "env_steps": 7, "loss": NaN, "q_mean": -Infinity}'
    run = reading.read(logs.write(tmp_path, [line]))
    assert np.isnan(run.metrics["loss"]).all() and np.isnan(run.metrics["q_mean"]).all()


def test_the_hours_of_an_older_log_come_from_steps_and_their_rate(tmp_path):
    lines = [
        logs.metrics(0, 1.0, env_steps_per_second=None),
        logs.metrics(36_000, 1.0, env_steps_per_second=10.0),  # one hour
        logs.metrics(72_000, 1.0, env_steps_per_second=20.0),  # half an hour
    ]
    run = reading.read(logs.write(tmp_path, lines))
    np.testing.assert_allclose(run.metrics["hours"], [0.0, 1.0, 1.5])
    assert run.last("hours") == 1.5


def test_the_hours_of_a_thinned_log_are_those_it_has(tmp_path):
    lines = [logs.metrics(0, 1.0, hours=0.0), logs.metrics(9, 1.0, hours=2.5)]
    path = logs.write_packed(tmp_path / "kept.jsonl.gz", lines)
    np.testing.assert_allclose(reading.read(path).metrics["hours"], [0.0, 2.5])


def test_a_log_with_resumes_is_one_run(tmp_path):
    values = logs.settings()
    lines = [
        logs.metrics(0, 1.0),
        logs.start(values, 100),
        logs.metrics(100, 2.0),
        logs.start(values, 200, device="GPU"),
        logs.metrics(200, 3.0),
    ]
    run = reading.read(logs.write(tmp_path, lines))
    assert run.metrics["score_mean"].tolist() == [1, 2, 3]
    assert run.resumed_at == (100, 200) and run.info["device"] == "GPU"


def test_of_several_runs_in_a_file_the_last_is_read(tmp_path):
    lines = [logs.metrics(500, 1.0), logs.start(logs.settings()), logs.metrics(0, 2.0)]
    run = reading.read(logs.write(tmp_path, lines))
    assert run.metrics["score_mean"].tolist() == [2]
    assert "only the last of its runs" in run.warnings[0]


def test_a_packed_log_has_its_settings_and_its_name(tmp_path):
    lines = [logs.start(logs.settings(seed=5)), logs.metrics(0, 1.0)]
    run = reading.read(logs.write_packed(tmp_path / "jax-seed5.jsonl.gz", lines))
    assert run.name == "jax-seed5" and run.settings["seed"] == 5
    assert run.video is None and run.machine == {}


def test_a_packed_log_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    lines = [logs.metrics(i, float(i % 7)) for i in range(1000)]
    data = gzip.compress(logs.text(lines).encode())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(data[: len(data) // 2])
    run = reading.read(path)
    assert 0 < len(run.metrics["loss"]) < 1000
    assert any("end is damaged" in each for each in run.warnings)


def test_settings_that_cannot_be_read_are_those_of_the_log(tmp_path):
    path = logs.write(tmp_path, [logs.metrics(0, 1.0)], seed=9)
    (path / "settings.json").write_text("{")
    run = reading.read(path)
    assert run.settings["seed"] == 9 and "settings.json" in run.warnings[0]
    (path / "settings.json").unlink()
    assert reading.read(path).settings["seed"] == 9


def test_the_film_and_the_machine_of_a_run_are_found(tmp_path):
    path = logs.write(tmp_path, [logs.metrics(0, 1.0)])
    (path / "video.mp4").write_bytes(b"film")
    for steps, machine in ((100, "old"), (900, "new"), (1000, None)):
        folder = path / "checkpoints" / f"checkpoint-{steps:012d}"
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"made_with": {"m": machine}}))
    (folder / "meta.json").write_text("{}")
    run = reading.read(path)
    assert run.video == path / "video.mp4" and run.machine == {"m": "new"}


def test_what_is_no_run_is_refused_in_a_line(tmp_path):
    (tmp_path / "notes.txt").write_text("no log\n")
    with pytest.raises(OSError, match="is no run: it has no metrics.jsonl"):
        reading.read(tmp_path)
    with pytest.raises(OSError, match="does not exist"):
        reading.read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"notes.txt is no run: .* no records"):
        reading.read(tmp_path / "notes.txt")


def test_a_setting_that_an_older_run_lacks_has_its_default(tmp_path):
    path = logs.write(tmp_path, [logs.metrics(0, 1.0)], gamma=0.5)
    values = json.loads((path / "settings.json").read_text())
    del values["alpha"]
    (path / "settings.json").write_text(json.dumps(values))
    run = reading.read(path)
    found = [reading.setting_of(run, name) for name in ("alpha", "gamma", "backend")]
    assert found == [0.6, 0.5, "jax"]
