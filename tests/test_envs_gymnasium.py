"""Gymnasium environments that play: steps, ends, seeds, images."""

import functools
import json

import gymnasium
import numpy as np
import pytest

from keras_dqn.envs import make_envs
from keras_dqn.envs.base import game_seeds
from tests.toys import ChainEnv
from tests.toys import CountingEnv
from tests.toys import EchoEnv
from tests.toys import ImageEnv
from tests.toys import ScriptedEnv

pytestmark = pytest.mark.numpy


@pytest.mark.parametrize(
    ("name", "steps"), [("CartPole-v1", 120), ("MountainCar-v0", 410)]
)
def test_every_step_equals_single_environments(name, steps):
    """MountainCar is cut after 200 steps; CartPole falls over."""
    num_envs, seed = 3, 7
    singles = [gymnasium.make(name) for _ in range(num_envs)]
    rng = np.random.default_rng(0)
    ends = 0
    scores, lengths = np.zeros(num_envs), np.zeros(num_envs, int)
    with make_envs(name, num_envs) as envs:
        observations = envs.reset(seed)
        for i, game_seed in enumerate(game_seeds(seed, num_envs)):
            first, _ = singles[i].reset(seed=int(game_seed))
            np.testing.assert_array_equal(observations[i], first)
        for _ in range(steps):
            actions = rng.integers(envs.num_actions, size=num_envs)
            step = envs.step(actions)
            records = {episode.env_index: episode for episode in step.episodes}
            for i, single in enumerate(singles):
                successor, reward, *flags, _ = single.step(int(actions[i]))
                scores[i] += reward
                lengths[i] += 1
                assert [step.terminated[i], step.truncated[i]] == flags
                assert step.restarted[i] == any(flags)
                assert step.rewards[i] == step.training_rewards[i] == reward
                np.testing.assert_array_equal(step.final_observations[i], successor)
                if any(flags):
                    ends += 1
                    episode = records.pop(i)
                    assert (episode.score, episode.length) == (scores[i], lengths[i])
                    assert episode.truncated == flags[1]
                    assert episode.lives == -1
                    assert episode.final_frame is None
                    scores[i] = lengths[i] = 0
                    successor, _ = single.reset()
                np.testing.assert_array_equal(step.observations[i], successor)
            assert not records
    assert ends >= 6


def test_it_says_what_it_is():
    with make_envs("CartPole-v1", num_envs=4, seed=3) as envs:
        assert envs.env_id == "CartPole-v1"
        assert envs.num_actions == 2
        assert envs.action_meanings is None
        assert envs.stored_shape == envs.observation_shape == (4,)
        assert envs.observation_dtype == np.float32
        assert envs.frame_stack == 0
        shown = json.loads(json.dumps(envs.options))
        assert shown.pop("gymnasium") == gymnasium.__version__
        assert shown == {
            "env_id": "CartPole-v1",
            "num_envs": 4,
            "seed": 3,
            "env_kwargs": {},
            "flatten_actions": False,
        }


@pytest.mark.parametrize("truncates", [False, True])
def test_at_an_end_both_the_final_and_the_first_observation_are_returned(truncates):
    make = functools.partial(CountingEnv, length=2, truncates=truncates)
    with make_envs(make, num_envs=2) as envs:
        np.testing.assert_array_equal(envs.reset(0), [[0, 0], [0, 0]])
        step = envs.step([0, 1])
        np.testing.assert_array_equal(step.observations, [[0, 1], [0, 1]])
        assert step.final_observations is step.observations
        assert not (step.terminated | step.truncated | step.restarted).any()
        step = envs.step([0, 1])
        np.testing.assert_array_equal(step.final_observations, [[0, 2], [0, 2]])
        np.testing.assert_array_equal(step.observations, [[1, 0], [1, 0]])
        assert step.terminated.tolist() == [not truncates] * 2
        assert step.truncated.tolist() == [truncates] * 2
        assert step.restarted.tolist() == [True] * 2
        for i, episode in enumerate(step.episodes):
            assert episode.env_index == i
            assert (episode.score, episode.length) == (1 + 2, 2)
            assert episode.truncated == truncates


def test_a_step_both_terminated_and_truncated_is_terminated():
    """As in ALE: nothing follows, so there is nothing to bootstrap from."""
    make = functools.partial(ScriptedEnv, at=3, terminated=True, truncated=True)
    with make_envs(make) as envs:
        envs.reset(0)
        step = [envs.step([0]) for _ in range(3)][-1]
        assert step.terminated[0] and not step.truncated[0]
        assert not step.episodes[0].truncated


def test_a_seeded_reset_of_used_environments_equals_fresh_ones():
    def play(envs):
        rng = np.random.default_rng(0)
        outcome = [envs.reset(4)]
        outcome += [envs.step(rng.integers(4, size=3)).observations for _ in range(50)]
        return np.stack(outcome)

    with make_envs(EchoEnv, num_envs=3) as envs:
        fresh = play(envs)
        envs.step([0, 1, 2])
        np.testing.assert_array_equal(play(envs), fresh)
        assert not np.array_equal(fresh[:, 0], fresh[:, 1])


def test_send_keeps_and_recv_steps():
    stepped = []

    class Spied(CountingEnv):
        def step(self, action):
            stepped.append(action)
            return super().step(action)

    with make_envs(Spied, num_envs=2) as envs:
        envs.reset(0)
        envs.send([0, 1])
        assert stepped == []
        envs.recv()
        assert stepped == [0, 1]
        assert [type(action) for action in stepped] == [int, int]


def test_an_environment_may_reuse_its_observation():
    class Reusing(CountingEnv):
        buffer = np.zeros(2, np.float32)

        def _observe(self):
            self.buffer[:] = self._episode, self._time
            return self.buffer

    with make_envs(Reusing, num_envs=2) as envs:
        first = envs.reset(0)
        second = envs.step([0, 0]).observations
        np.testing.assert_array_equal(first, [[0, 0], [0, 0]])
        np.testing.assert_array_equal(second, [[0, 1], [0, 1]])


@pytest.mark.parametrize(
    ("shape", "frame_shape"),
    [
        ((12, 12), (12, 12)),
        ((12, 12, 1), (12, 12)),
        ((12, 12, 3), (12, 12, 3)),
        ((4, 12, 12), None),
        ((12,), None),
    ],
)
def test_an_image_is_kept_of_the_moment_before_the_end(shape, frame_shape):
    with make_envs(functools.partial(ImageEnv, shape=shape, length=3)) as envs:
        envs.reset(0)
        step = [envs.step([0]) for _ in range(3)][-1]
        assert envs.stored_shape == shape
        assert envs.frame_stack == 0
        frame = step.episodes[0].final_frame
        if frame_shape is None:
            assert frame is None
        else:
            np.testing.assert_array_equal(frame, np.full(frame_shape, 2, np.uint8))
            assert frame.base is None


def test_a_chain_is_walked_to_its_end():
    with make_envs(ChainEnv, num_envs=2) as envs:
        np.testing.assert_array_equal(envs.reset(0).argmax(1), [0, 0])
        rooms = []
        for _ in range(4):
            step = envs.step([1, 0])
            rooms.append(step.final_observations.argmax(1).tolist())
        assert rooms == [[1, 0], [2, 0], [3, 0], [4, 0]]
        assert step.terminated.tolist() == [True, False]
        assert step.rewards.tolist() == [1.0, 0.0]
        assert step.observations.argmax(1).tolist() == [0, 0]
