"""Atari games on the real emulator: ends, limits, seeds, options."""

import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from keras_dqn.envs import AtariEnvs
from keras_dqn.envs import make_envs
from tests.toys import assert_same_games
from tests.toys import play

pytestmark = pytest.mark.numpy

NOOP, FIRE, RIGHT = 0, 1, 2


def play_until_life_lost(envs):
    """Presses nothing until environment 0 loses a life; returns step and count."""
    for count in range(1, 500):
        step = envs.step([NOOP] * envs.num_envs)
        if step.terminated[0]:
            return step, count
    raise AssertionError("no life was lost")


def test_it_says_what_it_is():
    with make_envs("Breakout", num_envs=3) as envs:
        observations = envs.reset(0)
        assert envs.env_id == "ALE/Breakout"
        assert envs.num_actions == 4
        assert envs.action_meanings == ("NOOP", "FIRE", "RIGHT", "LEFT")
        assert envs.stored_shape == (4, 84, 84)
        assert envs.observation_shape == (84, 84, 4)
        assert envs.frame_stack == 4
        assert observations.shape == (3, 4, 84, 84)
        assert observations.dtype == envs.observation_dtype == np.uint8
        step = envs.step([0, 1, 2])
        assert step.rewards.dtype == step.training_rewards.dtype == np.float32
        for flags in (step.terminated, step.truncated, step.restarted):
            assert flags.dtype == bool
            assert flags.shape == (3,)


def test_with_reset_a_lost_life_starts_the_game_again():
    with make_envs("Breakout", life_loss="reset", noop_max=0) as envs:
        first = envs.reset(0)
        step, count = play_until_life_lost(envs)
        assert step.terminated[0] and step.restarted[0] and not step.truncated[0]
        np.testing.assert_array_equal(step.observations, first)
        assert not np.array_equal(step.final_observations, step.observations)
        (episode,) = step.episodes
        assert (episode.length, episode.lives) == (count, 4)
        # 5 lives again: the next loss leaves 4 as well, not 3.
        step, again = play_until_life_lost(envs)
        assert step.episodes[0].lives == 4
        assert again == count


def test_with_terminal_a_lost_life_ends_only_the_target():
    with make_envs("Breakout", life_loss="terminal", noop_max=0) as envs:
        envs.reset(0)
        step, _ = play_until_life_lost(envs)
        assert step.terminated[0] and not step.restarted[0]
        assert step.episodes == ()
        assert step.final_observations is step.observations
        before = step.observations
        after = envs.step([NOOP])
        assert not after.terminated[0]
        # The game goes on: the stack rolls by one frame.
        np.testing.assert_array_equal(after.observations[0, :3], before[0, 1:])


def test_five_lost_lives_are_one_episode_unless_each_is_one():
    ends = {}
    for life_loss in ("terminal", "ignore"):
        with make_envs("Breakout", life_loss=life_loss, noop_max=0) as envs:
            envs.reset(0)
            terminated = 0
            for count in range(1, 1000):
                step = envs.step([count % 2])  # FIRE every other step
                terminated += step.terminated[0]
                if step.restarted[0]:
                    break
            (episode,) = step.episodes
            assert (episode.length, episode.lives) == (count, 0)
            assert not episode.truncated
            ends[life_loss] = (terminated, count, episode.score)
    assert ends["terminal"][0] == 5
    assert ends["ignore"][0] == 1
    assert ends["terminal"][1:] == ends["ignore"][1:]


def test_a_game_without_lives_reports_minus_one():
    with make_envs("Pong", max_episode_frames=8) as envs:
        envs.reset(0)
        envs.step([0])
        (episode,) = envs.step([0]).episodes
        assert episode.lives == -1
        assert episode.truncated


def test_a_time_limit_truncates_and_returns_the_true_final_observation():
    options = dict(num_envs=2, repeat_action_probability=0.25)
    with make_envs("Breakout", **options) as envs:
        unlimited = play(envs, 10)
    rng = np.random.default_rng(0)
    with make_envs("Breakout", max_episode_frames=40, **options) as envs:
        envs.reset(0)
        for count in range(1, 11):
            step = envs.step(rng.integers(4, size=2))
            assert step.truncated.all() == (count == 10)
            assert not step.terminated.any()
        assert step.restarted.all()
        np.testing.assert_array_equal(step.final_observations, unlimited[10][0])
        assert not step.observations[:, :3].any()  # a new first stack
        assert step.observations[:, 3].any(axis=(1, 2)).all()
        assert [e.length for e in step.episodes] == [10, 10]
        assert all(e.truncated and e.lives == 5 for e in step.episodes)


def test_a_life_lost_in_the_last_step_of_the_limit_is_terminal():
    with make_envs("Breakout", noop_max=0) as envs:
        envs.reset(0)
        _, count = play_until_life_lost(envs)
    with make_envs("Breakout", noop_max=0, max_episode_frames=4 * count) as envs:
        envs.reset(0)
        step, again = play_until_life_lost(envs)
        assert again == count
        assert not step.truncated[0]
        assert step.restarted[0]
        (episode,) = step.episodes
        assert episode.truncated  # the clock, not the player, ended the game
        assert episode.lives == 4


def test_a_first_stack_is_three_black_frames_and_then_rolls():
    with make_envs("Breakout", num_envs=2) as envs:
        previous = envs.reset(5)
        assert not previous[:, :3].any()
        assert previous[:, 3].any()
        for _ in range(10):
            current = envs.step([RIGHT, NOOP]).observations
            np.testing.assert_array_equal(current[:, :3], previous[:, 1:])
            previous = current


def test_fire_is_pressed_so_that_waiting_loses_a_life():
    lives_lost = {}
    for fire_reset in (True, False):
        with make_envs("Breakout", noop_max=0, fire_reset=fire_reset) as envs:
            envs.reset(0)
            steps = [envs.step([NOOP]) for _ in range(100)]
            lives_lost[fire_reset] = sum(step.terminated[0] for step in steps)
            changes = [
                not np.array_equal(step.observations[0, 3], step.observations[0, 2])
                for step in steps[4:]
            ]
            if fire_reset:
                assert any(changes)
    assert lives_lost == {True: 1, False: 0}


def test_no_ops_are_drawn_below_noop_max(monkeypatch):
    frames = set()

    class Counted(AtariVectorEnv):
        def reset(self, **options):
            observations, info = super().reset(**options)
            frames.update(info["episode_frame_number"].tolist())
            return observations, info

    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", Counted)
    with make_envs("Breakout", num_envs=8, noop_max=4) as envs:
        for seed in range(3):
            envs.reset(seed)
    # FIRE takes the place of a no-op: 1 frame (0 or 1 drawn), 2 or 3.
    assert frames == {1, 2, 3}


def test_without_sticky_actions_seeds_change_only_the_no_ops():
    """With no no-ops to draw, all seeds play one and the same game."""
    with make_envs("Breakout", num_envs=2, noop_max=0) as envs:
        rng = np.random.default_rng(0)
        observations = envs.reset(0)
        for _ in range(60):
            np.testing.assert_array_equal(observations[0], observations[1])
            observations = envs.step([rng.integers(4)] * 2).observations
    with make_envs("Breakout", noop_max=30) as envs:
        assert len({envs.reset(seed).tobytes() for seed in range(4)}) > 1


def test_with_sticky_actions_seeds_change_the_game():
    with make_envs("ALE/Breakout-v5", num_envs=2, noop_max=0) as envs:
        rng = np.random.default_rng(0)
        observations = envs.reset(0)
        np.testing.assert_array_equal(observations[0], observations[1])
        for _ in range(60):
            observations = envs.step([rng.integers(4)] * 2).observations
        assert not np.array_equal(observations[0], observations[1])


def test_a_seeded_reset_of_used_games_equals_fresh_ones():
    """Sticky actions and other thread counts included."""
    options = dict(num_envs=2, repeat_action_probability=0.25)
    with make_envs("Breakout", num_threads=2, **options) as envs:
        fresh = play(envs, 300)
        assert any(restarted.any() for *_, restarted in fresh[1:])
        play(envs, 37, seed=1, reset_seed=1)
        assert_same_games(fresh, play(envs, 300))
    with make_envs("Breakout", num_threads=1, **options) as envs:
        assert_same_games(fresh, play(envs, 300))


def test_the_seed_of_the_constructor_is_the_default_of_reset():
    with make_envs("Breakout", num_envs=2, seed=np.int64(9)) as envs:
        default = envs.reset()
        np.testing.assert_array_equal(default, envs.reset(9))
        np.testing.assert_array_equal(default, envs.reset(np.uint8(9)))
        assert envs.options["seed"] == 9


def test_what_was_received_is_never_written_to_again():
    with make_envs("Breakout", num_envs=2) as envs:
        kept = [envs.reset(0)]
        rng = np.random.default_rng(0)
        for _ in range(30):
            step = envs.step(rng.integers(4, size=2))
            kept += [step.observations, step.rewards, step.terminated]
        copies = [array.copy() for array in kept]
        for _ in range(30):
            envs.step(rng.integers(4, size=2))
        envs.reset(1)
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_final_frame_is_the_newest_before_the_fatal_action_and_a_copy():
    with make_envs("Breakout", life_loss="reset", noop_max=0) as envs:
        received = envs.reset(0)
        for count in range(500):
            before = received.copy()
            received[:] = 7  # the receiver may do as it likes
            step = envs.step([RIGHT + count % 2])  # the paddle moves in each frame
            if step.episodes:
                break
            received = step.observations
        frame = step.episodes[0].final_frame
        np.testing.assert_array_equal(frame, before[0, 3])
        assert not np.array_equal(frame, before[0, 2])
        assert frame.dtype == np.uint8
        assert frame.base is None


def test_training_rewards_are_signs_and_scores_stay_raw(monkeypatch):
    """A brick of Breakout's upper rows pays 4 or 7."""
    dictated = iter(np.int32([[7, 0], [-3, 4]]))

    class Dictated(AtariVectorEnv):
        def recv(self):
            observations, _, *rest = super().recv()
            return observations, next(dictated), *rest

    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", Dictated)
    with make_envs("Breakout", num_envs=2, max_episode_frames=8) as envs:
        envs.reset(0)
        step = envs.step([NOOP, NOOP])
        assert step.rewards.tolist() == [7.0, 0.0]
        assert step.training_rewards.tolist() == [1.0, 0.0]
        step = envs.step([NOOP, NOOP])
        assert step.training_rewards.tolist() == [-1.0, 1.0]
        assert [episode.score for episode in step.episodes] == [4.0, 4.0]


def test_every_option_is_shown_resolved():
    with AtariEnvs("breakout", 2, 3, life_loss="ignore", num_threads=1) as envs:
        shown = dict(envs.options)
    assert shown.pop("ale_py").count(".") == 2
    assert shown == {
        "env_id": "ALE/Breakout",
        "num_envs": 2,
        "seed": 3,
        "repeat_action_probability": 0.0,
        "life_loss": "ignore",
        "noop_max": 30,
        "clip_rewards": True,
        "frame_skip": 4,
        "max_episode_frames": 108_000,
        "full_action_space": False,
        "fire_reset": True,
        "num_threads": 1,
        "rom_md5": "f34f08e5eb96e500e851a80be3277a56",
    }


def test_the_full_action_space_has_18_actions():
    with make_envs("Breakout", full_action_space=True) as envs:
        assert envs.num_actions == len(envs.action_meanings) == 18
        envs.reset(0)
        envs.step([17])


@pytest.mark.parametrize("frame_skip", [1, 3])
def test_an_agent_step_lasts_frame_skip_frames(frame_skip):
    with make_envs("Breakout", frame_skip=frame_skip, max_episode_frames=12) as envs:
        envs.reset(0)
        steps = [envs.step([NOOP]) for _ in range(12 // frame_skip)]
        assert [step.truncated[0] for step in steps] == [False] * (len(steps) - 1) + [
            True
        ]
