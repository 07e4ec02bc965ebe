"""Making and closing Gymnasium environments."""

import functools
import gc
import json

import gymnasium
import numpy as np
import pytest

from keras_dqn.envs import GymnasiumEnvs
from keras_dqn.envs import make_envs
from keras_dqn.envs import make_evaluation_envs
from tests.toys import ChainEnv
from tests.toys import CountingEnv
from tests.toys import EchoEnv
from tests.toys import ImageEnv

pytestmark = pytest.mark.numpy


def test_the_keywords_reach_the_environment():
    with make_envs("CartPole-v1", env_kwargs={"sutton_barto_reward": True}) as envs:
        assert envs.options["env_kwargs"] == {"sutton_barto_reward": True}
        envs.reset(0)
        assert envs.step([0]).rewards.tolist() == [0.0]
    with make_envs(ChainEnv, env_kwargs={"rooms": 3}) as envs:
        assert envs.stored_shape == (3,)
    with make_envs(ImageEnv, env_kwargs={"shape": np.array([4, 4])}) as envs:
        json.dumps(envs.options)


@pytest.mark.parametrize("env", [3, None, ["CartPole-v1"], CountingEnv()])
def test_neither_id_nor_constructor_is_refused(env):
    with pytest.raises(TypeError, match="must be an id or a constructor"):
        make_envs(env)


def test_a_constructor_of_something_else_is_refused():
    with pytest.raises(TypeError, match="must return .*`gymnasium.Env`"):
        make_envs(dict)


def test_env_kwargs_must_be_a_dict():
    with pytest.raises(
        TypeError, match=r"`env_kwargs` must be a dict.*env_kwargs=\[\]"
    ):
        make_envs("CartPole-v1", env_kwargs=[])


def test_a_constructor_with_changing_spaces_is_refused():
    makers = iter([functools.partial(EchoEnv, symbols=n) for n in (3, 4)])
    with pytest.raises(ValueError, match="same spaces each time"):
        make_envs(lambda: next(makers)(), num_envs=2)


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


def returns_one_environment(wrap=lambda env: env):
    env = CountingEnv()
    return lambda: wrap(env)


def limited(env):
    return gymnasium.wrappers.TimeLimit(env, 3)


@pytest.mark.parametrize("wrap", [lambda env: env, limited])
def test_a_constructor_that_returns_one_environment_again_is_refused(wrap):
    """Each step would count for all of them."""
    with pytest.raises(ValueError, match="new environment each time.*CountingEnv"):
        make_envs(returns_one_environment(wrap), num_envs=4)


def test_a_registered_constructor_that_returns_one_environment_is_refused():
    gymnasium.register("tests/Single-v0", returns_one_environment())
    try:
        with pytest.raises(ValueError, match="new environment each time.*Single-v0"):
            make_envs("tests/Single-v0", num_envs=2)
    finally:
        del gymnasium.registry["tests/Single-v0"]


@pytest.mark.parametrize("wrap", [lambda env: env, limited])
@pytest.mark.parametrize("again", [make_envs, make_evaluation_envs])
def test_no_environment_is_in_two_vectors(wrap, again):
    """Else an evaluation would play on in the games of the training."""
    make = returns_one_environment(wrap)
    with make_envs(make) as envs:
        envs.reset(0)
        envs.step([0])
        for env in (make, envs) if again is make_evaluation_envs else (make,):
            with pytest.raises(ValueError, match="new environment each time"):
                again(env)
        step = envs.step([0])  # untouched, and not closed
        np.testing.assert_array_equal(step.observations, [[0, 2]])


def test_an_environment_that_was_closed_is_not_new():
    make = returns_one_environment()
    make_envs(make).close()
    with pytest.raises(ValueError, match="new environment each time"):
        make_envs(make)


def test_environments_of_one_constructor_that_compare_equal_are_taken():
    class Equal(CountingEnv):
        def __eq__(self, other):
            return True

    with make_envs(Equal, num_envs=3) as envs, make_envs(Equal, num_envs=3):
        assert envs.reset(0).shape == (3, 2)


def test_nothing_is_kept_alive_to_be_recognized():
    gone = []

    class Counted(CountingEnv):
        def __del__(self):
            gone.append(1)

    make_envs(Counted, num_envs=3).close()
    gc.collect()
    assert len(gone) == 3
