"""Every Atari game of ALE for one player is made and played.

By default one game of each number of actions; `-m "numpy and slow"` plays them all,
and longer.
"""

import numpy as np
import pytest
from ale_py import roms

import keras_dqn
from keras_dqn.envs.names import games
from tests import valid_steps

pytestmark = pytest.mark.numpy

GAMES = games()
# One for each number of actions, with the screens and rewards that differ most.
SAMPLE = {
    "Skiing": 3,  # rewards of minus hundreds
    "Blackjack": 4,
    "Pacman": 5,
    "Pong": 6,
    "Assault": 7,
    "Gopher": 8,
    "CrazyClimber": 9,
    "TicTacToe3D": 10,  # begins with a black screen
    "Turmoil": 12,
    "KungFuMaster": 14,  # stands still for the first seconds
    "JourneyEscape": 16,
    "MontezumaRevenge": 18,
}
WITHOUT_NOOP = {"Backgammon", "VideoCheckers"}


def test_the_games_are_all_but_those_for_two_players():
    assert len(GAMES) == len(set(GAMES)) == len(roms.get_all_rom_ids()) - 4
    assert len(GAMES) > 100
    assert set(SAMPLE) <= set(GAMES)


def play(game, num_envs, steps, limit_steps):
    """Plays a game; returns its number of actions and of different observations."""
    frames = 4 * limit_steps
    options = dict(num_envs=num_envs, seed=0, max_episode_frames=frames)
    with keras_dqn.make_envs(game, **options) as envs:
        assert envs.env_id == f"ALE/{game}"
        assert envs.stored_shape == (4, 84, 84)
        assert envs.observation_dtype == np.uint8
        assert 3 <= envs.num_actions == len(envs.action_meanings) <= 18
        has_noop = envs.action_meanings[0] == "NOOP"
        assert has_noop == (game not in WITHOUT_NOOP)
        episodes, different = valid_steps.play(envs, steps)
        num_actions = envs.num_actions
    with pytest.raises(RuntimeError, match="closed"):
        envs.reset()
    assert len(episodes) >= num_envs * (steps // limit_steps)
    for episode in episodes:
        assert episode.length <= limit_steps
        assert episode.truncated or episode.lives <= 0
        frame = episode.final_frame
        assert (frame.shape, frame.dtype) == ((84, 84), np.uint8)
    return num_actions, different


@pytest.mark.parametrize("game", SAMPLE)
def test_a_game_of_each_number_of_actions_is_played(game):
    assert play(game, 1, steps=50, limit_steps=40)[0] == SAMPLE[game]


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_every_game_is_played_and_moves(game):
    _, different = play(game, 2, steps=400, limit_steps=300)
    assert different >= 10
