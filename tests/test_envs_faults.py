"""Gymnasium environments that fail, or return what no run can use."""

import functools

import gymnasium
import numpy as np
import pytest

from keras_dqn.envs import EnvFault
from keras_dqn.envs import make_envs
from tests.toys import CountingEnv
from tests.toys import ImageEnv
from tests.toys import ScriptedEnv

pytestmark = pytest.mark.numpy


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"observation": np.float32([np.nan, 0])}, "be finite"),
        ({"observation": np.float32([0, np.inf])}, "be finite"),
        ({"observation": np.zeros(3, np.float32)}, r"shape \(2,\)"),
        ({"observation": np.zeros(2, complex)}, "dtype float32, as declared"),
        ({"observation": [[0.0], [0.0, 1.0]]}, "dtype float32, as declared"),
        ({"observation": (np.zeros(2), {})}, "dtype float32, as declared"),
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
        (np.full((4, 4), 0.5), "dtype=float64"),
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
        with pytest.raises(EnvFault, match="step 1 .*truncated.*Received: 4 values"):
            envs.step([0])


@pytest.mark.parametrize(
    ("outcome", "received"),
    [
        (np.zeros(2, np.float32), "ndarray"),  # would be unpacked into two numbers
        (np.zeros(4, np.float32), "ndarray"),
        ([0.0, 0.0], "list"),
        ((np.zeros(2, np.float32),), "1 value"),
        ((np.zeros(2, np.float32), {}, {}), "3 values"),
        ({"state": 1}, "dict"),
        (None, "NoneType"),
    ],
)
def test_a_reset_or_step_that_returns_something_else_is_refused(outcome, received):
    class Old(CountingEnv):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return outcome

    with make_envs(Old) as envs:
        with pytest.raises(EnvFault, match=f"`\\(observation, info\\)`.*: {received}"):
            envs.reset(0)

    class Odd(CountingEnv):
        def step(self, action):
            return outcome

    with make_envs(Odd) as envs:
        envs.reset(0)
        with pytest.raises(EnvFault, match=f"`\\(observation, reward.*: {received}"):
            envs.step([0])


class Seedless(CountingEnv):
    def reset(self):
        return super().reset()


def test_a_reset_without_a_seed_is_refused_before_anything_is_played():
    with pytest.raises(ValueError, match="reset\\(self, \\*, seed=None, options=None"):
        make_envs(Seedless)


def test_a_wrapper_may_bring_the_seed_that_a_reset_lacks():
    class Bridge(gymnasium.Wrapper):
        def reset(self, *, seed=None, options=None):
            return self.env.reset()

    with make_envs(lambda: Bridge(Seedless())) as envs:
        np.testing.assert_array_equal(envs.reset(0), [[0, 0]])
    with make_envs(lambda: gymnasium.Wrapper(Seedless())) as envs:
        with pytest.raises(EnvFault, match="unexpected keyword argument 'seed'"):
            envs.reset(0)


def test_a_reset_may_take_its_seed_among_any_keywords():
    class Any(CountingEnv):
        def reset(self, **options):
            return super().reset(**options)

    with make_envs(Any) as envs:
        np.testing.assert_array_equal(envs.reset(0), [[0, 0]])


def test_an_error_in_reset_is_named():
    class Broken(CountingEnv):
        def reset(self, **kwargs):
            raise OSError("no display")

    with make_envs(Broken, num_envs=2) as envs:
        with pytest.raises(RuntimeError, match="Environment 0 .*OSError: no display"):
            envs.reset(0)
