"""Environments of every kind: objects, vector environments, spaces of several parts."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from keras_dqn.envs import EnvFault
from keras_dqn.envs import GymnasiumVectorEnvs
from keras_dqn.envs import as_envs
from keras_dqn.envs import make_envs
from keras_dqn.envs import make_evaluation_envs

pytestmark = pytest.mark.numpy

MODES = list(gymnasium.vector.AutoresetMode)


def play(envs, steps=60):
    """Everything that the environments say in some steps of random actions."""
    rng = np.random.default_rng(5)
    seen = [envs.reset(seed=3)]
    for _ in range(steps):
        step = envs.step(rng.integers(envs.num_actions, size=envs.num_envs))
        seen += [step.observations, step.rewards, step.terminated, step.truncated]
        seen += [step.restarted, step.final_observations]
        seen += [(each.env_index, each.score, each.length) for each in step.episodes]
    return seen


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_vector_environment_plays_the_games_of_single_ones(mode, kind):
    """Whatever its autoreset mode: no step is lost, and none is made up."""
    with make_envs("CartPole-v1", 3) as envs:
        expected = play(envs)
    options = {"vectorization_mode": kind, "vector_kwargs": {"autoreset_mode": mode}}
    vector = gymnasium.make_vec("CartPole-v1", 3, **options)
    with GymnasiumVectorEnvs(vector) as envs:
        assert_same(play(envs), expected)
    assert vector.reset()[0].shape == (3, 4)  # it is still open
    vector.close()


def test_a_vector_environment_that_restarts_all_games_is_a_fault():
    vector = gymnasium.make_vec(
        "CartPole-v1", 3, vectorization_mode="vector_entry_point"
    )
    with GymnasiumVectorEnvs(vector) as envs:
        with pytest.raises(EnvFault, match="reset_mask.*SAME_STEP.*sync"):
            play(envs)


def test_a_vector_environment_without_an_autoreset_mode_is_refused():
    vector = gymnasium.make_vec("CartPole-v1", 2)
    vector.metadata = {}
    with pytest.raises(ValueError, match="autoreset mode"):
        GymnasiumVectorEnvs(vector)
    with pytest.raises(TypeError, match="VectorEnv"):
        GymnasiumVectorEnvs("CartPole-v1")


def test_a_wrapped_vector_environment_says_that_it_cannot_be_copied():
    vector = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(vector)
    with GymnasiumVectorEnvs(wrapped) as envs:
        play(envs)
        with pytest.raises(ValueError, match="`env` must be given"):
            make_evaluation_envs(envs)


class Scaled(gymnasium.ObservationWrapper):
    """A wrapper that no `spec` records."""

    def observation(self, observation):
        return observation * 2


def test_an_environment_is_copied_with_its_wrappers_and_not_stepped():
    env = Scaled(gymnasium.make("CartPole-v1"))
    env.reset(seed=1)
    before = np.array(env.unwrapped.state)
    with as_envs(env, 3) as envs, make_envs("CartPole-v1", 3) as plain:
        assert envs.env_id == "CartPole-v1" and envs.num_envs == 3
        np.testing.assert_array_equal(envs.reset(seed=4), 2 * plain.reset(seed=4))
        envs.step([0, 1, 0])
    np.testing.assert_array_equal(env.unwrapped.state, before)


class Fixed(gymnasium.Env):
    """Always returns the same observation, and records its actions."""

    action_space = spaces.Discrete(2)

    def __init__(self, observation=0, observation_space=None, action_space=None):
        self.observation = observation
        self.observation_space = observation_space or spaces.Discrete(2)
        self.action_space = action_space or self.action_space
        self.actions = []

    def reset(self, *, seed=None, options=None):
        return self.observation, {}

    def step(self, action):
        self.actions.append(action)
        return self.observation, 1.0, len(self.actions) % 3 == 0, False, {}


def test_what_cannot_be_copied_is_refused():
    env = Fixed()
    env.lock = (each for each in ())  # a generator
    with pytest.raises(ValueError, match="cannot be copied.*lambda: Fixed"):
        as_envs(env)


def test_vector_environments_are_used_as_they_are_and_stay_open():
    with make_envs("CartPole-v1", 2) as envs:
        with as_envs(envs, 8) as same:
            assert same is envs
        envs.reset()
    with as_envs("CartPole-v1", 2) as made:
        assert made.num_envs == 2
    with pytest.raises(RuntimeError, match="closed"):
        made.reset()


def test_a_multi_discrete_space_is_flattened_on_request():
    space = spaces.MultiDiscrete([2, 3], start=[0, 5])
    made = []

    def make():
        made.append(Fixed(action_space=space))
        return made[-1]

    with pytest.raises(ValueError, match="flatten_actions=True.* 6 "):
        make_envs(make)
    with make_envs(make, flatten_actions=True) as envs:
        assert envs.num_actions == 6
        envs.reset()
        for action in range(6):
            envs.step([action])
        taken = [action.tolist() for action in made[-1].actions]
    assert taken == [[0, 5], [0, 6], [0, 7], [1, 5], [1, 6], [1, 7]]
    vector = gymnasium.vector.SyncVectorEnv([lambda: Fixed(action_space=space)] * 2)
    with GymnasiumVectorEnvs(vector, flatten_actions=True) as envs:
        envs.reset()
        envs.step([1, 5])
    taken = [env.actions[0].tolist() for env in vector.envs]
    assert taken == [[0, 6], [1, 7]]


NESTED = spaces.Dict(
    {
        "position": spaces.Box(-1, 1, (2, 2)),
        "pair": spaces.Tuple((spaces.Discrete(3), spaces.MultiBinary(2))),
    }
)


def nested(**changes):
    position = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    pair = (2, np.array([1, 0], np.int8))
    return {"position": position, "pair": pair, **changes}


def test_dicts_and_tuples_become_one_vector_in_the_order_of_the_space():
    def make():
        return Fixed(nested(), NESTED)

    # A `Dict` sorts its keys: "pair" (one-hot, then bits), then "position".
    vector = np.float32([0, 0, 1, 1, 0, 0.1, 0.2, 0.3, 0.4])
    with make_envs(make, 2) as envs:
        assert envs.observation_shape == (9,) and envs.observation_dtype == np.float32
        np.testing.assert_array_equal(envs.reset(), [vector] * 2)
    with GymnasiumVectorEnvs(gymnasium.vector.SyncVectorEnv([make] * 2)) as envs:
        np.testing.assert_array_equal(envs.reset(), [vector] * 2)
        for _ in range(4):
            np.testing.assert_array_equal(
                envs.step([0, 1]).final_observations, [vector] * 2
            )


@pytest.mark.parametrize(
    "observation",
    [
        {"position": np.zeros((2, 2), np.float32)},
        nested(position=np.full((2, 2), np.nan)),
        nested(position=np.zeros((3, 2), np.float32)),
        nested(pair=(7, np.zeros(2, np.int8))),
        5,
    ],
)
def test_parts_that_are_missing_or_wrong_are_faults(observation):
    with make_envs(lambda: Fixed(observation, NESTED)) as envs:
        with pytest.raises(EnvFault, match="observation must be"):
            envs.reset()
