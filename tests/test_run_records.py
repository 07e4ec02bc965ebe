"""What a run in a directory records: its log and its event files."""

import json

import pytest

from keras_dqn import presets
from keras_dqn.agent import DQNAgent
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
    runs.train(SETTINGS, out, resume=True, evaluation=True)  # it was over
    assert evaluations(out) == evaluations(whole)
    seconds = [line["training_seconds"] for line in lines(out, "metrics")]
    assert seconds == sorted(seconds)
    assert len(seconds) == len(lines(whole, "metrics"))


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
