"""What TensorBoard is shown: tags, steps and values of its event files."""

import io
import json
import logging
import resource
import subprocess
import sys

import numpy as np
import pytest

from keras_dqn import monitor
from tests.event_files import events_of
from tests.event_files import shown_steps
from tests.event_files import values_of
from tests.records import make_evaluation
from tests.records import make_filling
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy

# What the reference implementation showed: fps, q, q_std, td_error, reward_mean,
# length_mean, exploration and beta.
REFERENCE_TAGS = {
    "env_steps_per_second",
    "q_mean",
    "q_std",
    "td_error",
    "score_mean",
    "length_mean",
    "epsilon",
    "beta",
}


def write(directory, records, resume=None):
    pytest.importorskip("tensorboardX")
    board = monitor.TensorBoard(directory)
    if resume is not None:
        board.resume(resume)
    with board:
        board.start(make_info())
        for record in records:
            board.write(record)


def test_the_scalars_have_the_names_and_values_of_the_log(tmp_path):
    names = ("type", "env_steps", "time", "iteration")
    board = tmp_path / "board"
    write(board, [make_progress(0), make_progress(10)])
    log = monitor.JsonLines(tmp_path / "metrics.jsonl")
    with log:
        log.start(make_info())
        log.write(make_progress(0))
        log.write(make_progress(10))
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    found = {tag: v[-1][1].simple_value for tag, v in values_of(board).items()}
    assert found.keys() >= REFERENCE_TAGS
    expected = {name: value for name, value in line.items() if name not in names}
    known = {name: x for name, x in expected.items() if x is not None}
    assert found == pytest.approx(known, rel=1e-6)  # float32


def test_before_training_no_learning_statistics_are_written(tmp_path):
    record = make_filling(0, score_mean=1.0, length_mean=2.0)
    write(tmp_path, [record])
    assert REFERENCE_TAGS - set(values_of(tmp_path)) == {"q_mean", "q_std", "td_error"}


def test_what_is_not_known_or_not_finite_is_left_out(tmp_path):
    record = make_progress(0, q_mean=float("nan"), score_mean=None, length_mean=None)
    write(tmp_path, [record])
    left_out = {"q_mean", "score_mean", "length_mean"}
    assert REFERENCE_TAGS - set(values_of(tmp_path)) == left_out


def test_an_evaluation_has_scalars_and_a_histogram_of_its_games(tmp_path):
    board = monitor.TensorBoard(tmp_path)
    board.start(make_info())
    board.evaluation(320, make_evaluation([1.0, 3.0]), False)
    board.close()
    board.evaluation(640, make_evaluation([5.0]), True)  # after the training
    values = values_of(tmp_path)
    for kind, step, mean in [("evaluation", 320, 2), ("final_evaluation", 640, 5)]:
        ((at, value),) = values[f"{kind}/mean"]
        assert (at, value.simple_value) == (step, mean)
        ((at, value),) = values[f"{kind}/scores"]
        assert (at, value.histo.sum) == (step, mean * value.histo.num)
        assert len(values[f"{kind}/std"]) == 1


def test_the_tab_hparams_shows_the_settings(tmp_path):
    plugin = pytest.importorskip("tensorboardX.proto.plugin_hparams_pb2")
    settings = {"gamma": 0.99, "betas": [[0, 0.4]], "replay_kind": "uniform"}
    with monitor.TensorBoard(tmp_path) as board:
        board.start(make_info(settings=settings))
    values = {v.tag: v for e in events_of(tmp_path) for v in e.summary.value}
    data = values["_hparams_/session_start_info"].metadata.plugin_data
    assert data.plugin_name == "hparams"
    found = plugin.HParamsPluginData.FromString(data.content).session_start_info.hparams
    assert found["gamma"].number_value == 0.99
    assert found["betas"].string_value == "[[0, 0.4]]"
    assert found["replay_kind"].string_value == "uniform"
    assert found["env_id"].string_value == "ALE/Breakout"


def test_the_global_step_is_the_steps_taken_before_the_iteration(tmp_path):
    write(tmp_path, (make_progress(i) for i in range(25)))
    assert [step for step, _ in values_of(tmp_path)["q_mean"]] == [0, 320, 640]


def test_rates_are_averaged_over_the_interval(tmp_path):
    seconds = [1.0] + [0.0] * 9 + [10.0]
    records = [make_progress(i, seconds=s) for i, s in enumerate(seconds)]
    write(tmp_path, records)
    values = values_of(tmp_path)
    assert [v.simple_value for _, v in values["env_steps_per_second"]] == [32.0, 32.0]
    assert [v.simple_value for _, v in values["updates_per_second"]] == [8.0]


def test_the_picture_is_the_best_frame_in_gray(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    frame = np.arange(84 * 84, dtype="uint32").astype("uint8").reshape(84, 84)
    write(tmp_path, [make_progress(0, best_frame=frame)])
    ((step, value),) = values_of(tmp_path)["observation"]
    assert step == 0
    assert (value.image.height, value.image.width) == (84, 84)
    picture = image_module.open(io.BytesIO(value.image.encoded_image_string))
    assert (picture.format, picture.size) == ("PNG", (84, 84))
    for channel in picture.split():
        np.testing.assert_array_equal(np.asarray(channel), frame)


def test_the_picture_is_written_only_when_the_best_frame_changed(tmp_path):
    shared = np.zeros((84, 84), "uint8")
    board = monitor.TensorBoard(tmp_path)
    with board:
        board.start(make_info())
        for iteration, brightness in [(0, 1), (10, 1), (20, 2), (30, 2)]:
            shared[:] = brightness  # even if the caller overwrites its frame
            board.write(make_progress(iteration, best_frame=shared))
    assert [step for step, _ in values_of(tmp_path)["observation"]] == [0, 640]


def test_a_frame_that_is_no_picture_is_left_out(tmp_path):
    write(tmp_path, [make_progress(0, best_frame=np.zeros(4, "float32"))])
    assert "observation" not in values_of(tmp_path)


def test_histograms_go_to_their_own_run_when_the_record_has_them(tmp_path):
    q = np.float32([1.0, 2.0, 3.0, 3.0])
    drawn = make_progress(7, histogram_q=q, histogram_targets=q * 2)
    write(tmp_path, [make_progress(0), drawn, make_progress(10)])
    values = values_of(tmp_path / "histograms")
    assert {tag: [step for step, _ in v] for tag, v in values.items()} == {
        "q": [224],
        "q_update": [224],
    }
    histogram = values["q"][0][1].histo
    assert (histogram.min, histogram.max, histogram.num) == (1.0, 3.0, 4)
    assert (histogram.sum, histogram.sum_squares) == (9.0, 23.0)
    assert sum(histogram.bucket) == 4
    assert values["q_update"][0][1].histo.sum == 18.0
    assert not any(v.HasField("histo") for _, v in values_of(tmp_path)["q"])


def test_without_histograms_there_is_no_second_run(tmp_path):
    write(tmp_path, [make_progress(0)])
    assert not (tmp_path / "histograms").exists()


def test_a_histogram_leaves_out_what_is_not_finite(tmp_path):
    q = np.float32([1.0, np.nan, np.inf])
    bad = np.float32([np.nan])
    write(tmp_path, [make_progress(0, histogram_q=q, histogram_targets=bad)])
    values = values_of(tmp_path / "histograms")
    assert values["q"][0][1].histo.num == 1
    assert "q_update" not in values


def test_an_older_log_in_the_directory_is_kept(tmp_path):
    """Two files within the same second: the name holds the second only."""
    for _ in range(3):
        write(tmp_path, [make_progress(0)])
    assert len(list(tmp_path.glob("events.*"))) == 3
    assert [step for step, _ in values_of(tmp_path)["q_mean"]] == [0, 0, 0]


def test_resuming_makes_tensorboard_hide_the_repeated_steps(tmp_path):
    """R14. TensorBoard drops earlier events from the step of a START on."""
    drawn = make_progress(30, histogram_q=np.ones(2), histogram_targets=np.ones(2))
    write(tmp_path, [make_progress(0), drawn])
    write(tmp_path, [make_progress(20)], resume=640)
    for directory in (tmp_path, tmp_path / "histograms"):
        starts = [e.step for e in events_of(directory) if e.HasField("session_log")]
        assert starts == [640]
    assert shown_steps(tmp_path, "loss") == [0, 640]
    assert shown_steps(tmp_path / "histograms", "q") == []


def test_resuming_a_log_that_has_started_is_refused(tmp_path):
    with monitor.TensorBoard(tmp_path) as board:
        board.start(make_info())
        with pytest.raises(RuntimeError, match="before `start`"):
            board.resume(0)


@pytest.mark.parametrize("package", ["tensorboardX", "PIL"])
def test_a_missing_package_is_named_with_the_command(monkeypatch, tmp_path, package):
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "keras_dqn\[tensorboard\]"'):
        monitor.TensorBoard(tmp_path)


def test_a_directory_that_cannot_be_made_is_warned_of_once(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "file" / "tb", (make_progress(i) for i in range(31)))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def fill(path):
    """Writes more than a file may hold."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    with monitor.TensorBoard(path) as board:
        board.start(make_info())
        for i in range(0, 5000, 10):
            board.write(make_progress(i))
    print("went on")


def test_a_full_disk_is_warned_of_once_and_the_training_goes_on(tmp_path):
    """O7, with a limit on the size of files in place of a small disk."""
    pytest.importorskip("tensorboardX")
    code = f"from test_monitor_tensorboard import fill\nfill({str(tmp_path)!r})"
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
    assert done.stdout == "went on\n" and done.returncode == 0
    assert done.stderr.count("Cannot write") == 1
    assert "Traceback" not in done.stderr


def test_closing_twice_is_harmless_and_later_records_are_ignored(tmp_path):
    board = monitor.TensorBoard(tmp_path)
    board.start(make_info())
    board.close()
    board.close()
    board.write(make_progress(0))
    assert not values_of(tmp_path)
