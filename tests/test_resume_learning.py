"""Runs that were stopped where no checkpoint was due learn like any others."""

import gymnasium
import numpy as np
import pytest

from keras_dqn import presets
from tests import runs

pytestmark = pytest.mark.slow

ENV_ID = "keras_dqn/Echo16-v0"
if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, entry_point="tests.toys:EchoEnv")
SEEDS = range(5)
SETTINGS = presets.cartpole(
    env_id=ENV_ID,  # 16 is the best score, 4 that of a random player
    env_steps=2_048,
    num_envs=4,
    vector_steps_per_iteration=4,
    replay_capacity=1_024,
    learning_starts_env_steps=128,
    batch_size=32,
    updates_per_iteration=4,
    hidden_units=16,
    target_sync_env_steps=64,
    epsilon_endpoints=((0, 1.0), (800, 0.05)),
    epsilon_final=0.05,
    checkpoint_interval_iterations=60,
    evaluation_interval_iterations=None,
    stop_at_score=None,
)


def scores(seed, out, stops=()):
    """Mean scores of the training's last games, and of an evaluation."""
    settings = SETTINGS.replace(seed=seed)
    for number, stop in enumerate([*stops, None]):
        seen = []

        def note(agent, progress, stop=stop, seen=seen):
            seen.extend(episode.score for episode in progress.episodes)
            return progress.iteration + 1 == stop

        run = runs.train(settings, out, resume=number > 0, callbacks=[note])
    result = run.agent.evaluate(episodes=20, epsilon=0.0, seed=(seed, 0))
    return np.mean(seen[:20]), np.mean(seen[-40:]), result.mean


def test_resumed_runs_score_within_the_band_of_those_that_never_stopped(tmp_path):
    whole = np.array([scores(s, tmp_path / f"whole-{s}") for s in SEEDS])
    pieces = np.array([scores(s, tmp_path / f"p-{s}", (53, 97)) for s in SEEDS])
    learned, after_resuming = whole[:, 1], pieces[:, 0]
    assert learned.min() > 12.0  # there is something to lose
    # The first games after the last resume are no worse than the run was by then.
    assert after_resuming.mean() > 10.0
    spread = max(0.5, np.ptp(whole, axis=0)[1:].max())
    for column in (1, 2):
        assert pieces[:, column].mean() > whole[:, column].min() - 0.5 * spread
