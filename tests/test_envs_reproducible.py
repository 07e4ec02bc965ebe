"""The real emulator: the same games again, and what a frame and a life are."""

import hashlib

import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from keras_dqn.envs import make_envs
from keras_dqn.envs.base import game_seeds
from keras_dqn.run_state import RunState

pytestmark = pytest.mark.numpy

NOOP, FIRE = 0, 1


@pytest.fixture
def answers(monkeypatch):
    """What the emulator itself says of each step, in a list that grows."""
    heard = []

    class Heard(AtariVectorEnv):
        def recv(self):
            outcome = super().recv()
            heard.append(outcome[-1])
            return outcome

    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", Heard)
    return heard


def digest(envs, steps, seed=0):
    """SHA-256 of all that comes out of `steps` of random play."""
    rng = np.random.default_rng(seed)
    found = hashlib.sha256(envs.reset(seed).tobytes())
    for _ in range(steps):
        step = envs.step(rng.integers(envs.num_actions, size=envs.num_envs))
        for array in (step.observations, step.rewards, step.terminated, step.restarted):
            found.update(array.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize(
    ("game", "steps"),
    [
        ("Breakout", 400),
        pytest.param("Breakout", 3_000, marks=pytest.mark.slow),
        pytest.param("SpaceInvaders", 3_000, marks=pytest.mark.slow),
        pytest.param("MsPacman", 3_000, marks=pytest.mark.slow),
    ],
)
def test_used_games_that_are_reset_with_a_seed_equal_fresh_ones(game, steps):
    """Sticky actions and life losses included. Exact resume stands on it."""
    options = {"num_envs": 2, "repeat_action_probability": 0.25}
    with make_envs(game, **options) as envs:
        fresh = digest(envs, steps)
        digest(envs, 53, seed=1)
        assert digest(envs, steps) == fresh
        assert digest(envs, steps, seed=1) != fresh


@pytest.mark.parametrize("steps", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_games_do_not_depend_on_the_number_of_threads(steps):
    digests = set()
    for num_threads in (1, 2, 8):
        options = {"num_threads": num_threads, "repeat_action_probability": 0.25}
        with make_envs("Breakout", num_envs=8, **options) as envs:
            digests.add(digest(envs, steps))
    assert len(digests) == 1


@pytest.mark.parametrize(
    "name", ["Breakout", "BreakoutNoFrameskip-v4", "ALE/Breakout-v5", "Breakout-v4"]
)
def test_an_agent_step_is_four_frames_whatever_the_id_skips(name, answers):
    """Not four times four, nor a random number: counted by the emulator itself."""
    with make_envs(name) as envs:
        envs.reset(0)
        for _ in range(5):
            envs.step([NOOP])
    frames = [int(info["episode_frame_number"][0]) for info in answers]
    assert np.diff(frames).tolist() == [4] * 4


def changes(step):
    return not np.array_equal(step.observations[0, 3], step.observations[0, 2])


@pytest.mark.parametrize("life_loss", ["terminal", "ignore"])
def test_after_a_lost_life_the_screen_stands_still_until_fire_is_pressed(
    life_loss, answers
):
    """The emulator presses FIRE at a game's start only; the rest is the agent's."""
    with make_envs("Breakout", life_loss=life_loss, noop_max=0) as envs:
        envs.reset(0)
        for _ in range(200):
            envs.step([NOOP])
            if answers[-1]["lives"][0] < answers[0]["lives"][0]:
                break
        assert answers[-1]["lives"][0] == answers[0]["lives"][0] - 1
        waits = [changes(envs.step([NOOP])) for _ in range(40)]
        assert not any(waits[4:])
        plays = [changes(envs.step([FIRE])) for _ in range(10)]
        assert any(plays)


def test_neighboring_seeds_share_no_games():
    """Ten runs, their first eight starts, sixteen games each."""
    seeds = []
    for run in range(10):
        state = RunState.from_seed(run)
        for state.iteration in range(8):
            seeds += game_seeds(state.envs_seed(), 16).tolist()
    assert len(set(seeds)) == 10 * 8 * 16
