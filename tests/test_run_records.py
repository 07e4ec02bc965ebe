"""What a run in a directory records: its log and its event files."""

import json
import shutil

import pytest

from keras_dqn import presets
from keras_dqn.agent import DQNAgent
from keras_dqn.runs.run import Run
from tests import runs

# 50 iterations of 2 agent steps, an evaluation every 10, an exact checkpoint every 10.
SETTINGS = presets.cartpole(
    env_steps=100,
    num_envs=2,
    vector_steps_per_iteration=1,
    updates_per_iteration=1,
    replay_capacity=64,
    hidden_units=8,
    batch_size=8,
    learning_starts_env_steps=16,
    target_sync_env_steps=20,
    checkpoint_interval_iterations=10,
    evaluation_interval_iterations=10,
    evaluation_episodes=2,
    evaluation_epsilon=0.5,
    stop_at_score=None,
)


def lines(out, kind):
    found = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    steps = [line["env_steps"] for line in found]
    assert steps == sorted(steps)
    return [line for line in found if line["type"] == kind]


def evaluations(out):
    return [
        (x["env_steps"], x["scores"], x["is_final"]) for x in lines(out, "evaluation")
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    runs.train(SETTINGS, out, evaluation=True)
    return out


def test_every_evaluation_is_in_the_log(whole):
    found = evaluations(whole)
    during = [(steps, False) for steps in (20, 40, 60, 80, 100)]
    assert [(steps, final) for steps, _, final in found] == [*during, (100, True)]
    assert all(len(scores) == 2 for _, scores, _ in found)


def test_the_log_of_a_resumed_run_has_the_same_evaluations(whole, tmp_path):
    out = tmp_path / "run"
    for stop in (40, 60):  # checkpoints right after an evaluation
        runs.train(SETTINGS.replace(env_steps=stop), out, resume=True, evaluation=True)
    runs.train(SETTINGS, out, resume=True, evaluation=True)
    assert evaluations(out) == evaluations(whole)
    seconds = [line["training_seconds"] for line in lines(out, "metrics")]
    assert seconds == sorted(seconds)
    assert len(seconds) == len(lines(whole, "metrics"))


@pytest.fixture
def ended(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "ended")


def resumed(settings, out):
    """Resumes a run as `keras-dqn resume` does. Returns its final `Evaluation`."""
    from keras_dqn.runs import parts

    with Run(settings, out, console="none", resume=True) as run:
        return parts.train(run)


def refuse(*args, **options):
    raise AssertionError("nothing is played")


def test_a_run_that_has_ended_keeps_its_log_and_tells_its_final_evaluation(
    ended, monkeypatch, capsys
):
    before = {path: path.read_bytes() for path in ended.rglob("*.jsonl")}
    monkeypatch.setattr(DQNAgent, "_evaluate", refuse)
    for _ in range(2):
        found = resumed(SETTINGS, ended)
    assert {path: path.read_bytes() for path in before} == before
    record = lines(ended, "evaluation")[-1]
    assert found.scores.tolist() == record["scores"]
    assert found.lengths.tolist() == record["lengths"]
    assert (found.epsilon, found.env_id) == (0.5, "CartPole-v1")


@pytest.mark.parametrize(
    "change", [{"evaluation_episodes": 3}, {"evaluation_epsilon": 1}]
)
def test_a_run_that_has_ended_is_evaluated_anew_by_other_rules(ended, change):
    before = evaluations(ended)
    found = resumed(SETTINGS.replace(**change), ended)
    assert evaluations(ended) == [*before[:-1], (100, found.scores.tolist(), True)]
    assert len(found.scores) == change.get("evaluation_episodes", 2)


def test_a_run_that_ended_without_an_evaluation_is_evaluated_when_it_is_resumed(
    tmp_path,
):
    out = tmp_path / "run"
    runs.train(SETTINGS, out)
    assert not any(final for _, _, final in evaluations(out))
    runs.train(SETTINGS, out, resume=True, evaluation=True)
    assert [final for _, _, final in evaluations(out)] == [False] * 5 + [True]


def test_a_run_that_has_ended_and_goes_on_forgets_its_final_evaluation(ended):
    settings = SETTINGS.replace(env_steps=120)
    runs.train(settings, ended, resume=True, evaluation=True)
    found = [(steps, final) for steps, _, final in evaluations(ended)]
    assert found[-3:] == [(100, False), (120, False), (120, True)]


def test_an_evaluation_that_a_stop_aborted_is_in_the_log_once(
    whole, tmp_path, monkeypatch
):
    class Killed(BaseException):
        pass

    def abort(self, *args, **kwargs):
        return None

    out = tmp_path / "run"
    stop = SETTINGS.replace(env_steps=40)
    with monkeypatch.context() as patch:
        patch.setattr(DQNAgent, "_evaluate", abort)
        runs.train(stop, out)
    assert evaluations(out) == []
    wanted = [each for each in evaluations(whole) if each[0] >= 40]

    def kill(agent, progress):
        raise Killed

    with pytest.raises(Killed):
        runs.train(SETTINGS, out, resume=True, callbacks=[kill])
    assert evaluations(out) == wanted[:1]
    runs.train(SETTINGS, out, resume=True, evaluation=True)
    assert evaluations(out) == wanted
