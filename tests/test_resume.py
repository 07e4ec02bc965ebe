"""A run that was stopped goes on: exactly where a checkpoint was due."""

import hashlib
import json

import keras
import numpy as np
import pytest

from keras_dqn import presets
from keras_dqn.agent import DQNAgent
from keras_dqn.envs import make_envs
from keras_dqn.runs import parts
from keras_dqn.runs.run import Run
from tests import runs

CARTPOLE = presets.cartpole(
    env_steps=800,
    num_envs=2,
    vector_steps_per_iteration=1,
    updates_per_iteration=2,
    replay_capacity=256,
    hidden_units=16,
    batch_size=16,
    learning_starts_env_steps=100,
    target_sync_env_steps=60,
    checkpoint_interval_iterations=50,
    histogram_interval_iterations=7,
    epsilon_endpoints=((0, 1.0), (600, 0.1)),
    epsilon_final=0.1,
    n_steps=2,
    evaluation_interval_iterations=None,
    stop_at_score=None,
)
BREAKOUT = presets.breakout(
    env_steps=256,
    num_envs=4,
    replay_capacity=128,
    hidden_units=16,
    batch_size=4,
    updates_per_iteration=2,
    target_sync_env_steps=48,
    checkpoint_interval_iterations=4,
    life_loss="terminal",
    repeat_action_probability=0.25,
)


def digests(run, state_from):
    """SHA-256 of everything that a run carries on."""
    arrays = {
        **{f"learner/{k}": v for k, v in run.agent.learner.state_dict().items()},
        **{f"replay/{k}": v for k, v in run.agent.replay.state_dict().items()},
    }
    found = {
        name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        for name, array in arrays.items()
    }
    newest = sorted((state_from / "checkpoints").glob("checkpoint-*"))[-1]
    found["counters and generators"] = json.loads((newest / "meta.json").read_text())[
        "run"
    ]
    return found


def straight(settings, out):
    run = runs.train(settings, out)
    assert not run.was_stopped
    return digests(run, out)


def resumed(settings, out, stops):
    for number, env_steps in enumerate([*stops, settings.env_steps]):
        part = settings.replace(env_steps=env_steps)
        run = runs.train(part, out, resume=number > 0)
        assert not run.was_stopped
    return digests(run, out)


@pytest.mark.parametrize(
    "stops",
    [
        (100,),  # a checkpoint while the replay is still filling
        (400,),  # in the middle of training, past the ring's wrap-around
        (200, 300, 700),  # several times
    ],
)
def test_a_resumed_run_ends_in_the_same_bits_as_one_that_never_stopped(tmp_path, stops):
    whole = straight(CARTPOLE, tmp_path / "whole")
    found = resumed(CARTPOLE, tmp_path / "resumed", stops)
    assert found == whole


def test_a_resumed_run_of_breakout_ends_in_the_same_bits(tmp_path):
    whole = straight(BREAKOUT, tmp_path / "whole")
    found = resumed(BREAKOUT, tmp_path / "resumed", (128, 192))
    assert found == whole


def test_a_stop_between_checkpoints_goes_on_and_says_that_it_is_not_exact(
    tmp_path, capsys, monkeypatch
):
    out = tmp_path / "run"
    before = runs.train(CARTPOLE.replace(env_steps=430), out).agent.learner.state_dict()
    meta = out / "checkpoints" / "checkpoint-000000000430" / "meta.json"
    updates = json.loads(meta.read_text())["run"]["updates"]
    capsys.readouterr()
    seen = []
    fit = DQNAgent.fit

    def spying(agent, *args, **kwargs):
        seen.append(agent.learner.state_dict())
        return fit(agent, *args, **kwargs)

    monkeypatch.setattr(DQNAgent, "fit", spying)
    runs.train(CARTPOLE, out, console="plain", resume=True)
    text = capsys.readouterr().out
    assert "Loaded checkpoint" in text and "not exactly" in text
    for name in before:
        np.testing.assert_array_equal(seen[0][name], before[name])
    # Counted on, not started again: 2 agent steps for 2 gradient steps.
    newest = sorted((out / "checkpoints").glob("checkpoint-*"))[-1]
    run_meta = json.loads((newest / "meta.json").read_text())["run"]
    assert run_meta["updates"] == updates + 2 * (400 - 215)


def test_an_exact_resume_says_what_it_loaded_and_nothing_of_differing(tmp_path, capsys):
    out = tmp_path / "run"
    runs.train(CARTPOLE.replace(env_steps=400), out)
    capsys.readouterr()
    runs.train(CARTPOLE, out, console="plain", resume=True)
    text = capsys.readouterr().out
    assert "Loaded checkpoint" in text
    assert "not exactly" not in text


def test_a_checkpoint_is_saved_at_each_interval_and_at_the_end(tmp_path, monkeypatch):
    from keras_dqn import checkpoint

    saved = []
    original = checkpoint.Store.begin

    def begin(self, env_steps, parts, meta):
        saved.append(env_steps)
        return original(self, env_steps, parts, meta)

    monkeypatch.setattr(checkpoint.Store, "begin", begin)
    runs.train(CARTPOLE.replace(env_steps=450), tmp_path / "run")
    assert saved == [100, 200, 300, 400, 450]
    assert presets.breakout().checkpoint_interval_iterations == 100_000


def test_the_log_of_a_resumed_run_has_no_step_twice(tmp_path):
    out = tmp_path / "run"
    runs.train(CARTPOLE.replace(env_steps=430), out)
    newest = sorted((out / "checkpoints").glob("checkpoint-*"))[-1]
    for file in newest.iterdir():
        file.unlink()  # the newest is lost: the run goes on from an older one
    newest.rmdir()
    runs.train(CARTPOLE, out, console="none", resume=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    steps = [line["env_steps"] for line in lines if line["type"] == "metrics"]
    assert steps == sorted(set(steps))
    assert steps[-1] >= 600


def test_a_full_disk_at_a_checkpoint_is_said_and_training_goes_on(
    tmp_path, monkeypatch, capsys
):
    from keras_dqn import checkpoint

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.Store, "publish", fail)
    out = tmp_path / "run"
    seen = []

    def note(agent, progress):
        seen.append(progress.env_steps_done)

    options = {"console": "plain", "callbacks": [note]}
    with pytest.raises(OSError, match="last checkpoint could not be saved"):
        runs.train(CARTPOLE.replace(env_steps=230), out, **options)
    assert seen[-1] == 230
    # At 100 and 200 steps, and at the end, when the console is closed already.
    text = capsys.readouterr().out
    assert text.count("Could not save a checkpoint") == 3
    assert "It needs " in text and " are free in " in text
    assert (out / "network.keras").exists()
    with pytest.raises(OSError, match="3 checkpoints in a row .* No space left"):
        runs.train(CARTPOLE.replace(env_steps=430), tmp_path / "other", **options)
    assert 300 <= seen[-1] < 400


def test_evaluations_on_the_way_keep_the_best_network_and_end_a_solved_run(
    tmp_path, capsys
):
    out = tmp_path / "run"
    settings = CARTPOLE.replace(
        evaluation_interval_iterations=100, evaluation_episodes=4, stop_at_score=5.0
    )
    run = runs.train(settings, out, console="plain")
    assert not run.was_stopped  # any pole stands for 5 steps
    text = capsys.readouterr().out
    assert text.count("Evaluation at ") == 1
    assert "Evaluation at 200 agent steps: CartPole-v1: mean score" in text
    assert (out / "best.keras").exists()
    assert "Stopped" not in text


def test_evaluations_on_the_way_do_not_change_the_run(tmp_path):
    whole = straight(CARTPOLE, tmp_path / "whole")
    watched = CARTPOLE.replace(
        evaluation_interval_iterations=50, evaluation_episodes=2, stop_at_score=1e9
    )
    assert straight(watched, tmp_path / "watched") == whole


def test_a_resume_never_asks_keras_to_open_anything(tmp_path, monkeypatch):
    out = tmp_path / "run"
    runs.train(CARTPOLE.replace(env_steps=200), out)

    def refuse(*args, **kwargs):
        raise AssertionError("Keras was asked to open something")

    settings = CARTPOLE.replace(env_steps=300)
    envs = make_envs(settings.env_id, settings.num_envs)
    agent = parts.make_agent(settings, envs)
    agent.build(envs)  # it copies the network that was just made, in memory
    for name in ("load_model", "load_weights", "deserialize_keras_object"):
        monkeypatch.setattr(keras.saving, name, refuse)
    monkeypatch.setattr(keras.models, "load_model", refuse)
    monkeypatch.setattr(keras.Model, "load_weights", refuse)
    options = {"console": "none", "evaluation": False, "resume": True}
    with Run(settings, out, **options) as run, run.training(agent, envs) as options:
        agent.fit(envs, **options)
    assert not run.was_stopped
