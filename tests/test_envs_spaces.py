"""Spaces of Gymnasium environments: which are taken, and how observations are kept."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from keras_dqn.envs import EnvFault
from keras_dqn.envs import make_envs
from tests.toys import CountingEnv

pytestmark = pytest.mark.numpy


def with_spaces(observation=None, action=None, value=None):
    """A constructor of environments with these spaces, which show `value`."""

    class Custom(CountingEnv):
        taken: list = []

        def __init__(self):
            super().__init__()
            self.observation_space = observation or self.observation_space
            self.action_space = action or self.action_space

        def step(self, action):
            self.taken.append(int(np.squeeze(action)))
            return super().step(action)

        def _observe(self):
            return super()._observe() if value is None else value

    return Custom


def test_discrete_actions_that_start_elsewhere_are_mapped():
    custom = with_spaces(action=spaces.Discrete(3, start=5))
    with make_envs(custom, num_envs=3) as envs:
        envs.reset(0)
        assert envs.num_actions == 3
        envs.step([0, 1, 2])
        assert custom.taken == [5, 6, 7]
        with pytest.raises(ValueError, match="at least 0 and less than 3"):
            envs.send([5, 6, 7])


def test_a_single_action_is_enough():
    custom = with_spaces(action=spaces.Discrete(1))
    with make_envs(custom) as envs:
        envs.reset(0)
        assert envs.num_actions == 1
        np.testing.assert_array_equal(envs.step([0]).observations, [[0, 1]])
        assert custom.taken == [0]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 1.0, (2,)),
        spaces.MultiDiscrete([[2, 3]]),
        spaces.MultiBinary(2),
        spaces.Dict({"jump": spaces.Discrete(2)}),
    ],
)
def test_other_action_spaces_are_refused_by_name(space):
    with pytest.raises(ValueError, match="must have a `Discrete`") as error:
        make_envs(with_spaces(action=space))
    assert f"action_space={space}" in str(error.value)
    assert "gymnasium.wrappers.TransformAction" in str(error.value)


def test_the_advice_for_other_action_spaces_helps():
    custom = with_spaces(action=spaces.Box(-1.0, 1.0))
    pushes = [np.float32([-1]), np.float32([1])]

    def make():
        return gymnasium.wrappers.TransformAction(
            custom(), pushes.__getitem__, spaces.Discrete(2)
        )

    with make_envs(make) as envs:
        envs.reset(0)
        for action in (1, 0):
            envs.step([action])
    assert custom.taken == [1, -1]


def test_no_action_at_all_is_refused():
    space = spaces.Discrete(1)
    space.n = np.int64(0)  # its constructor would refuse
    with pytest.raises(ValueError, match="at least one action.*Discrete"):
        make_envs(with_spaces(action=space))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"a": spaces.Sequence(spaces.Discrete(2))}),
        spaces.Tuple([spaces.Sequence(spaces.Discrete(2))]),
        spaces.MultiDiscrete([2, 3]),
        spaces.Text(4),
    ],
)
def test_other_observation_spaces_are_refused_by_name(space):
    with pytest.raises(ValueError, match="must have a `Box`") as error:
        make_envs(with_spaces(observation=space))
    assert f"observation_space={space}" in str(error.value)
    assert "gymnasium.wrappers.FlattenObservation" in str(error.value)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0.0, 1.0, (3,))}),
        spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]),
        spaces.MultiDiscrete([2, 3]),
    ],
)
def test_the_advice_for_other_observation_spaces_helps(space):
    custom = with_spaces(observation=space, value=space.sample())
    make = lambda: gymnasium.wrappers.FlattenObservation(custom())  # noqa: E731
    with make_envs(make, num_envs=2) as envs:
        assert envs.reset(0).shape == (2, 5)


class Words(spaces.Space):
    """A space that Gymnasium cannot flatten, as that of MiniGrid's missions."""

    def __repr__(self):
        return "Words()"


@pytest.mark.parametrize("kind", [Words(), spaces.Sequence(spaces.Discrete(2))])
def test_a_part_that_is_no_array_is_refused_with_a_wrapper_that_leaves_it_out(kind):
    """MiniGrid's missions raised a `NotImplementedError` without a word."""
    box = spaces.Box(0.0, 1.0, (3,))
    space = spaces.Dict({"text": kind, "image": box, "way": spaces.Discrete(2)})
    value = {"text": "go", "image": np.zeros(3, np.float32), "way": 1}
    custom = with_spaces(observation=space, value=value)
    with pytest.raises(ValueError, match="`text` .*FilterObservation") as error:
        make_envs(custom)
    kept = "gymnasium.wrappers.FilterObservation(MyEnv(), ['image', 'way'])"
    assert f"`lambda: {kept}`" in str(error.value)
    advised = kept.replace("MyEnv", "custom")
    make = lambda: eval(advised, {"gymnasium": gymnasium, "custom": custom})  # noqa: E731
    with make_envs(make, num_envs=2) as envs:
        np.testing.assert_array_equal(envs.reset(0), [[0, 0, 0, 0, 1]] * 2)


@pytest.mark.parametrize(
    "space", [Words(), spaces.Dict({"text": Words()}), spaces.Tuple([Words()])]
)
def test_a_space_that_gymnasium_cannot_flatten_is_refused_by_name(space):
    with pytest.raises(ValueError, match="must have a `Box`.*Words"):
        make_envs(with_spaces(observation=space))


def test_spaces_that_are_missing_are_refused_by_name():
    class Bare(gymnasium.Env):
        pass

    with pytest.raises(ValueError, match="`Discrete` action space.*action_space=None"):
        make_envs(Bare)

    class Acting(gymnasium.Env):
        action_space = spaces.Discrete(2)

    with pytest.raises(ValueError, match="observation space.*observation_space=None"):
        make_envs(Acting)


@pytest.mark.parametrize(
    ("space", "value", "stored"),
    [
        (spaces.Discrete(3), 1, np.float32([0, 1, 0])),
        (spaces.Discrete(3, start=-1), np.int64(1), np.float32([0, 0, 1])),
        (spaces.MultiBinary(3), np.int8([1, 0, 1]), np.float32([1, 0, 1])),
        (
            spaces.Box(-1.0, 1.0, (2,), np.float64),
            np.array([0.1, -1.0]),
            np.float32([0.1, -1.0]),
        ),
        (spaces.Box(0, 9, (2,), np.int32), np.int32([3, 9]), np.float32([3, 9])),
        (spaces.Box(0, 255, (2,), np.uint8), np.uint8([3, 255]), np.uint8([3, 255])),
        (spaces.Box(0.0, 1.0, (), np.float32), np.float32(0.5), np.float32(0.5)),
    ],
)
def test_observations_are_stored_as_float32_or_uint8(space, value, stored):
    with make_envs(with_spaces(observation=space, value=value), num_envs=2) as envs:
        step_shape = (2, *stored.shape)
        for observations in (envs.reset(0), envs.step([0, 0]).observations):
            np.testing.assert_array_equal(
                observations, np.broadcast_to(stored, step_shape)
            )
            assert observations.dtype == envs.observation_dtype == stored.dtype
        assert envs.stored_shape == envs.observation_shape == stored.shape


@pytest.mark.parametrize(
    ("space", "value", "stored"),
    [
        (spaces.Box(-9.0, 9.0, (2,), np.float32), np.zeros(2), np.float32([0, 0])),
        (spaces.Box(-9.0, 9.0, (2,), np.float32), [0.1, 2], np.float32([0.1, 2])),
        (spaces.Box(-9.0, 9.0, (2,), np.float32), (1, -2), np.float32([1, -2])),
        (spaces.Box(-9.0, 9.0, (), np.float32), 0.1, np.float32(0.1)),
        (spaces.Box(-9.0, 9.0, (2,), np.float16), np.array([0.1, 1]), None),
        (spaces.Box(0, 9, (2,), np.int32), np.array([3, 9]), np.float32([3, 9])),
        (spaces.Box(0, 9, (2,), np.int32), [3.0, 9.0], np.float32([3, 9])),
        (spaces.Box(0, 255, (2,), np.uint8), [3, 255], np.uint8([3, 255])),
        (
            spaces.Box(0, 255, (2,), np.uint8),
            np.array([3.0, 255.0]),
            np.uint8([3, 255]),
        ),
        (spaces.MultiBinary(2), [0, 1], np.float32([0, 1])),
        (spaces.MultiBinary(2), np.array([False, True]), np.float32([0, 1])),
        (spaces.Discrete(3), 1.0, np.float32([0, 1, 0])),
        (spaces.Discrete(3), np.uint8(2), np.float32([0, 0, 1])),
    ],
)
def test_an_observation_is_cast_where_nothing_is_lost(space, value, stored):
    if stored is None:  # kept as float32, so not rounded to float16 on the way
        stored = np.float32([0.1, 1])
    with make_envs(with_spaces(observation=space, value=value), num_envs=2) as envs:
        for observations in (envs.reset(0), envs.step([0, 0]).observations):
            np.testing.assert_array_equal(observations, [stored, stored])
            assert observations.dtype == envs.observation_dtype == stored.dtype


@pytest.mark.parametrize(
    ("space", "value", "received"),
    [
        (spaces.Box(0, 255, (2,), np.uint8), np.float32([0.1, 0.2]), "dtype=float32"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), np.float32([0.1]), r"shape=\(1,\)"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), None, "None"),
        (spaces.Discrete(3), 3, "3"),
        (spaces.Discrete(3), -1, "-1"),
        (spaces.Discrete(3), 1.5, "1.5"),
        (spaces.Discrete(3), "1", "'1'"),
        (spaces.Discrete(3), [1], r"shape=\(1,\)"),
        (spaces.MultiBinary(3), np.int8([1, 0]), r"shape=\(2,\)"),
        (spaces.MultiBinary(3), [1, 0, 0.5], "dtype=float64"),
        (spaces.Box(0, 9, (2,), np.int32), np.array([2**40, 0]), "dtype=int64"),
        (spaces.Box(0, 9, (2,), np.uint8), [-1, 0], "dtype=int64"),
        (spaces.Box(0, 9, (2,), np.uint8), [np.nan, 0], "dtype=float64"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), ["0", "1"], "dtype=<U1"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), {"a": 1}, "{'a': 1}"),
    ],
)
def test_an_observation_that_does_not_match_its_space_is_refused(
    space, value, received
):
    class Custom(with_spaces(observation=space)):
        def _observe(self):
            return value

    with make_envs(Custom, num_envs=2) as envs:
        with pytest.raises(
            EnvFault,
            match=f"Environment 0 .*, reset: the observation must .*{received}",
        ):
            envs.reset(0)
