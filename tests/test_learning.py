"""The learning experiments: their flags, what is kept of a run, and the tables."""

import gzip
import importlib
import json
import sys

import pytest

import keras_dqn
from keras_dqn.cli import options
from tests.scripts import FOLDER
from tests.scripts import run_script

LEARNING = FOLDER / "learning"


@pytest.fixture
def module(monkeypatch):
    """Imports a module of `benchmarks/learning`."""
    monkeypatch.syspath_prepend(str(LEARNING))

    def load(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        found = importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)
        return found

    return load


def record(env_steps, rate, score_mean):
    return {
        "type": "metrics",
        "env_steps": env_steps,
        "updates": env_steps // 4,
        "env_steps_per_second": rate,
        "score_mean": score_mean,
    }


def episode(env_steps, score):
    return {"type": "episode", "env_steps": env_steps, "score": score}


RECORDS = [
    {"type": "start", "env_steps": 0},
    record(0, None, None),
    *(episode(1_800, float(number)) for number in range(150)),
    record(3_600, 1.0, 3.123456789),
    record(10_800, 2.0, 5.0),
]


def write(folder, records):
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(each) + "\n" for each in records)
    (folder / "metrics.jsonl").write_text(text)
    return folder / "metrics.jsonl"


@pytest.mark.numpy
def test_every_experiment_has_flags_that_the_command_takes(module):
    experiments = module("experiments")
    all_of_them = {**experiments.EXPERIMENTS, **experiments.ABLATIONS}
    for experiment in all_of_them.values():
        parser = options.Parser(add_help=False)
        options.add_preset(parser, "breakout")
        options.add_settings(parser)
        namespace = parser.parse_args(experiment.flags.split())
        settings = options.settings_of(parser, namespace, namespace.preset)
        assert settings.iterations > 50
        assert experiment.episodes == 100  # what the documents say


@pytest.mark.numpy
def test_hours_and_last_games_are_read_out_of_a_log(module, tmp_path):
    logs = module("logs")
    training = logs.training_of(write(tmp_path, RECORDS))
    assert training["hours"] == pytest.approx(2.0)  # 3,600 s at 1, 3,600 s at 2
    assert training["last_100_mean"] == pytest.approx(99.5)  # of 50 to 149
    assert (training["env_steps"], training["episodes"]) == (10_800, 150)


@pytest.mark.numpy
def test_a_kept_log_has_all_episodes_and_the_last_of_fewer_lines(
    module, tmp_path, monkeypatch
):
    logs = module("logs")
    monkeypatch.setattr(logs, "MOST_LINES", 2)
    write(tmp_path / "run", RECORDS)
    result = {"backend": "jax", "seed": 3}
    logs.keep(tmp_path / "run", tmp_path / "logs" / "catch" / "jax-seed3", result)
    ((kept, records),) = logs.runs_of("catch", tmp_path / "logs")
    assert kept == result
    assert sum(each["type"] == "episode" for each in records) == 150
    metrics = [each["env_steps"] for each in records if each["type"] == "metrics"]
    assert metrics == [0, 10_800]
    assert logs.curve_of(records) == ((10_800,), (pytest.approx(2.0),), (5.0,))
    assert logs.rounded(RECORDS[-2])["score_mean"] == 3.1235


@pytest.mark.numpy
def test_a_table_has_a_row_for_each_run_with_its_interval(module):
    logs = module("logs")
    training = {"env_steps": 1_000_000, "hours": 1.25, "last_100_mean": 40.123}
    evaluation = {
        "epsilon": 0.05,
        "mean": 50.0,
        "interval_95": [45.5, 54.5],
        "scores": [50.0] * 100,
    }
    runs = [
        (
            {
                "backend": backend,
                "seed": seed,
                "training": training,
                "evaluations": [evaluation],
            },
            [],
        )
        for backend, seed in (("jax", 1), ("torch", 2))
    ]
    head, _, first, second = logs.table_of(runs).splitlines()
    assert "final network, 100 games, epsilon 0.05" in head
    expected = "1,000,000 | 1.25 h | 40.12 | **50.00** (45.50 to 54.50) |"
    assert first == f"| jax | 1 | {expected}"
    assert second == f"| torch | 2 | {expected}"


def test_a_run_is_trained_played_and_kept_and_resumed(tmp_path):
    words = ["--seed", 2, "--runs", tmp_path / "runs", "--logs", tmp_path / "logs"]
    flags = "--env-steps 1k --learning-starts-env-steps 256 --updates-per-iteration 1"
    for _ in range(2):  # the second finds the run at its end, and plays again
        done = run_script("learning/train.py", "catch", *words, "--flags", flags)
        assert done.returncode == 0, done.stderr[-2000:]
    assert "Loaded checkpoint" in done.stdout
    other = run_script(
        "learning/train.py", "catch", *words, "--flags", f"{flags} --gamma 0.5"
    )
    assert other.returncode == 78 and "gamma: 0.99 -> 0.5" in other.stderr
    (path,) = (tmp_path / "logs" / "catch").glob("*-seed2.json")
    result = json.loads(path.read_text())
    assert "--env catch:Catch-v0" in result["command"]
    assert result["command"].endswith("--seed 2")  # no path of this machine
    assert set(result["evaluations"][0]["scores"]) <= {-1.0, 1.0}
    assert len(result["evaluations"][0]["scores"]) == 100
    with gzip.open(path.with_suffix(".jsonl.gz"), "rt") as file:
        scores = [json.loads(line).get("score") for line in file]
    assert scores.count(-1.0) > scores.count(1.0) > 0  # it played at random


def scored(scores):
    """Records of one training game in each ten agent steps."""
    return [episode(10 * number, score) for number, score in enumerate(scores)]


@pytest.mark.numpy
def test_an_ablation_counts_all_games_and_the_steps_to_its_goal(module):
    ablations = module("ablations")
    scores = [-1.0] * 100 + [1.0] * 100
    mean, steps = ablations.numbers_of(scored(scores))
    assert mean == 0.0
    assert steps == 10 * 174  # 75 of the last 100 games won: a mean of 0.5
    assert ablations.numbers_of(scored([-1.0] * 150))[1] is None


@pytest.mark.numpy
def test_an_interval_over_seeds_is_students(module):
    mean, half = module("ablations").interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert half == pytest.approx(2.776 * 2.5**0.5 / 5**0.5)


@pytest.mark.numpy
def test_the_kept_ablations_give_a_table_with_a_row_for_each_part(module):
    ablations, experiments = module("ablations"), module("experiments")
    rows = ablations.summaries(LEARNING / "logs")
    assert [row["title"] for row in rows] == [
        each.title for each in experiments.ABLATIONS.values()
    ]
    table = ablations.table_of(rows)
    assert table in (LEARNING / "README.md").read_text()


def test_a_network_without_dueling_is_trained_and_kept(tmp_path):
    words = ["--seed", 1, "--runs", tmp_path / "runs", "--logs", tmp_path / "logs"]
    flags = "--env-steps 1k --learning-starts-env-steps 256 --updates-per-iteration 1"
    done = run_script(
        "learning/train.py", "ablations/plain-head", *words, "--flags", flags
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = (tmp_path / "logs" / "ablations" / "plain-head").glob("*.json")
    assert json.loads(path.read_text())["network"] == "plain"
    (network,) = (tmp_path / "runs").rglob("network.keras")
    names = {layer.name for layer in keras_dqn.load_network(network).layers}
    assert "hidden" in names and "value_hidden" not in names
