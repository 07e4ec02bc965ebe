"""Making and closing Gymnasium environments."""

import functools
import json

import numpy as np
import pytest

from keras_dqn.envs import GymnasiumEnvs
from keras_dqn.envs import make_envs
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
