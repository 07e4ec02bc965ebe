"""Gymnasium environments: ends, spaces, and what is done about faulty ones."""

import functools
import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from keras_dqn.envs import EnvFault
from keras_dqn.envs import GymnasiumEnvs
from keras_dqn.envs import make_envs
from keras_dqn.envs.step import game_seeds
from tests.toys import ChainEnv
from tests.toys import CountingEnv
from tests.toys import EchoEnv
from tests.toys import ImageEnv
from tests.toys import ScriptedEnv

pytestmark = pytest.mark.numpy


@pytest.mark.seed(45)
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
        }


@pytest.mark.parametrize("truncates", [False, True])
def test_an_end_shows_the_true_successor_and_the_next_beginning(truncates):
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


def test_who_is_terminated_and_truncated_is_terminated():
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


def with_spaces(observation=None, action=None, value=None):
    """A constructor of environments with these spaces, which show `value`."""

    class Custom(CountingEnv):
        taken: list = []

        def __init__(self):
            super().__init__()
            self.observation_space = observation or self.observation_space
            self.action_space = action or self.action_space

        def step(self, action):
            self.taken.append(int(action))
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
    with make_envs(with_spaces(action=spaces.Discrete(1))) as envs:
        envs.reset(0)
        envs.step([0])


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 1.0, (2,)),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(2),
        spaces.Dict({"jump": spaces.Discrete(2)}),
    ],
)
def test_other_action_spaces_are_refused_by_name(space):
    with pytest.raises(ValueError, match="must have a `Discrete`") as error:
        make_envs(with_spaces(action=space))
    assert f"action_space={space}" in str(error.value)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"a": spaces.Discrete(2)}),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.MultiDiscrete([2, 3]),
        spaces.Text(4),
    ],
)
def test_other_observation_spaces_are_refused_by_name(space):
    with pytest.raises(ValueError, match="must have a `Box`") as error:
        make_envs(with_spaces(observation=space))
    assert f"observation_space={space}" in str(error.value)


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
    ("space", "value", "received"),
    [
        (spaces.Box(0, 255, (2,), np.uint8), np.float32([0.1, 0.2]), "dtype=float32"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), np.array([0.1, 0.2]), "dtype=float64"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), np.float32([0.1]), r"shape=\(1,\)"),
        (spaces.Box(0.0, 1.0, (2,), np.float32), None, "None"),
        (spaces.Discrete(3), 3, "3"),
        (spaces.Discrete(3), -1, "-1"),
        (spaces.Discrete(3), 1.0, "1.0"),
        (spaces.MultiBinary(3), np.int8([1, 0]), r"shape=\(2,\)"),
    ],
)
def test_an_observation_other_than_declared_is_refused(space, value, received):
    class Custom(with_spaces(observation=space)):
        def _observe(self):
            return value

    with make_envs(Custom, num_envs=2) as envs:
        with pytest.raises(
            EnvFault,
            match=f"Environment 0 .*, reset: the observation must .*{received}",
        ):
            envs.reset(0)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"observation": np.float32([np.nan, 0])}, "be finite"),
        ({"observation": np.float32([0, np.inf])}, "be finite"),
        ({"observation": np.zeros(3, np.float32)}, r"shape \(2,\)"),
        ({"observation": np.zeros(2)}, "dtype float32, as declared"),
        ({"reward": float("nan")}, "`reward` must be finite"),
        ({"reward": float("-inf")}, "`reward` must be finite"),
        ({"reward": 1e39}, "`reward` must be finite in float32"),
        ({"reward": None}, "reward=None"),
        ({"reward": "1"}, "reward='1'"),
        ({"reward": np.zeros(1)}, r"reward=array\(\[0.\]\)"),
        ({"reward": 1j}, "reward=1j"),
        ({"reward": np.array(None)}, r"reward=array\(None, dtype=object\)"),
        ({"reward": np.array("1")}, r"reward=array\('1'"),
        ({"terminated": None}, "`terminated` must be a bool"),
        ({"truncated": 1}, "`truncated` must be a bool"),
        ({"error": ZeroDivisionError("oh")}, "ZeroDivisionError: oh"),
    ],
)
def test_a_fault_is_named_with_its_environment_and_step(outcome, message):
    """And nothing is handed out until a reset."""
    constructors = iter([CountingEnv, functools.partial(ScriptedEnv, at=3, **outcome)])
    with make_envs(lambda: next(constructors)(), num_envs=2) as envs:
        envs.reset(0)
        envs.step([0, 0])
        envs.step([0, 0])
        envs.send([0, 0])
        where = r"Environment 1 \(CountingEnv\), step 3 of its episode"
        with pytest.raises(EnvFault, match=f"{where}: .*{message}") as caught:
            envs.recv()
        if "error" in outcome:
            assert caught.value.__cause__ is outcome["error"]
        with pytest.raises(RuntimeError, match="Call `reset` before"):
            envs.send([0, 0])
        envs.reset(0)
        envs.step([0, 0])


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.full((4, 4), 300.7), "dtype=float64"),  # would become 44
        (np.full((4, 4), 300, np.int64), "dtype=int64"),
        (np.full((4, 4), -1, np.int8), "dtype=int8"),
        (np.zeros((4, 5), np.uint8), r"shape=\(4, 5\)"),
    ],
)
def test_an_image_that_changes_its_kind_in_mid_run_is_refused(image, received):
    class Changing(ImageEnv):
        def _observe(self):
            return super()._observe() if self._time < 2 else image

    with make_envs(functools.partial(Changing, (4, 4))) as envs:
        envs.reset(0)
        envs.step([0])
        with pytest.raises(EnvFault, match=f"step 2 of its episode.*{received}"):
            envs.step([0])


def test_no_action_at_all_is_refused():
    space = spaces.Discrete(1)
    space.n = np.int64(0)  # its constructor would refuse
    with pytest.raises(ValueError, match="at least one action.*Discrete"):
        make_envs(with_spaces(action=space))


def test_numbers_of_any_kind_are_rewards():
    scalars = (np.float64(1), np.int8(1), np.int64(1), np.bool_(True), np.float32(1))
    for reward in (1, 1.0, True, *scalars, np.array(1.0), np.array(1), np.array(True)):
        with make_envs(functools.partial(ScriptedEnv, at=1, reward=reward)) as envs:
            envs.reset(0)
            step = envs.step([0])
            assert step.rewards.tolist() == [1.0]
            assert step.rewards.dtype == np.float32


def test_the_old_step_of_four_values_is_refused():
    class Old(CountingEnv):
        def step(self, action):
            return super().step(action)[:4]

    with make_envs(Old) as envs:
        envs.reset(0)
        with pytest.raises(RuntimeError, match="step 1 .*not enough values to unpack"):
            envs.step([0])


def test_an_error_in_reset_is_named():
    class Broken(CountingEnv):
        def reset(self, **kwargs):
            raise OSError("no display")

    with make_envs(Broken, num_envs=2) as envs:
        with pytest.raises(RuntimeError, match="Environment 0 .*OSError: no display"):
            envs.reset(0)


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


@pytest.mark.seed(53)
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


def test_the_keywords_reach_the_environment():
    with make_envs("CartPole-v1", env_kwargs={"sutton_barto_reward": True}) as envs:
        assert envs.options["env_kwargs"] == {"sutton_barto_reward": True}
        envs.reset(0)
        assert envs.step([0]).rewards.tolist() == [0.0]
    with make_envs(ChainEnv, env_kwargs={"rooms": 3}) as envs:
        assert envs.stored_shape == (3,)
    with make_envs(ImageEnv, env_kwargs={"shape": np.array([4, 4])}) as envs:
        json.dumps(envs.options)


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


@pytest.mark.parametrize("env", [3, None, ["CartPole-v1"], CountingEnv()])
def test_neither_id_nor_constructor_is_refused(env):
    with pytest.raises(TypeError, match="must be an id or a constructor"):
        make_envs(env)


def test_a_constructor_of_something_else_is_refused():
    with pytest.raises(TypeError, match="must return a `gymnasium.Env`"):
        make_envs(dict)


def test_env_kwargs_must_be_a_dict():
    with pytest.raises(
        TypeError, match=r"`env_kwargs` must be a dict.*env_kwargs=\[\]"
    ):
        make_envs("CartPole-v1", env_kwargs=[])


def test_a_constructor_that_changes_its_mind_is_refused():
    makers = iter([functools.partial(EchoEnv, symbols=n) for n in (3, 4)])
    with pytest.raises(ValueError, match="same spaces each time"):
        make_envs(lambda: next(makers)(), num_envs=2)


@pytest.mark.seed(46)
def test_close_closes_all_even_if_one_fails():
    closed = []

    class Closing(CountingEnv):
        def close(self):
            closed.append(self)
            if len(closed) == 2:
                raise OSError("stuck")

    envs = GymnasiumEnvs(Closing, 3)
    with pytest.raises(OSError, match="stuck"):
        envs.close()
    assert len(set(closed)) == 3
    envs.close()
    assert len(closed) == 3


def test_a_failed_construction_closes_what_was_made():
    closed = []

    class Closing(CountingEnv):
        made = 0

        def __init__(self):
            super().__init__()
            type(self).made += 1
            if self.made == 3:
                raise MemoryError("too many")

        def close(self):
            closed.append(self)

    with pytest.raises(MemoryError, match="too many"):
        make_envs(Closing, num_envs=4)
    assert len(closed) == 2
