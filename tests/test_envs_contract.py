"""What holds for every vector of environments, Atari or not."""

import functools

import numpy as np
import pytest

from keras_dqn.envs import VectorEnvs
from keras_dqn.envs import make_envs
from keras_dqn.envs import make_evaluation_envs
from tests.toys import CountingEnv

pytestmark = pytest.mark.numpy

KINDS = {
    "atari": functools.partial(make_envs, "Breakout", num_envs=2),
    "gymnasium": functools.partial(make_envs, CountingEnv, num_envs=2),
}


@pytest.fixture(params=KINDS)
def envs(request):
    with KINDS[request.param]() as envs:
        yield envs


def test_it_is_one_of_the_vector_envs(envs):
    assert isinstance(envs, VectorEnvs)
    assert envs.num_envs == 2
    assert envs.env_id in repr(envs)


def test_recv_without_send_is_an_error(envs):
    envs.reset(0)
    with pytest.raises(RuntimeError, match="Call `send` before `recv`"):
        envs.recv()


def test_a_second_send_is_an_error_and_changes_nothing(envs):
    envs.reset(0)
    expected = envs.step([1, 1]).observations
    envs.reset(0)
    envs.send([1, 1])
    with pytest.raises(RuntimeError, match="`send` was called twice"):
        envs.send([0, 0])
    np.testing.assert_array_equal(envs.recv().observations, expected)


def test_send_before_the_first_reset_is_an_error(envs):
    with pytest.raises(RuntimeError, match="Call `reset` before `send`"):
        envs.send([0, 0])


def test_what_was_sent_before_a_reset_is_forgotten(envs):
    first = envs.reset(0)
    expected = envs.step([0, 0]).observations
    envs.send([1, 1])
    np.testing.assert_array_equal(envs.reset(0), first)
    with pytest.raises(RuntimeError, match="Call `send` before `recv`"):
        envs.recv()
    np.testing.assert_array_equal(envs.step([0, 0]).observations, expected)


def test_a_reset_forgets_the_score_of_the_running_episode(envs):
    envs.reset(0)
    for _ in range(3):
        envs.step([1, 1])
    envs.reset(0)
    score = 0.0
    for count in range(1, 1000):
        step = envs.step([count % 2] * 2)
        score += step.rewards[0]
        if step.restarted[0]:
            break
    assert step.episodes[0].length == count
    assert step.episodes[0].score == score


@pytest.mark.parametrize("actions", [[0], [0, 99], [-1, 0], [0.0, 0.0], "ab", None])
def test_bad_actions_are_refused_and_good_ones_still_taken(envs, actions):
    envs.reset(0)
    with pytest.raises(ValueError, match="`actions` must be .*Received: actions"):
        envs.send(actions)
    envs.step([0, 1])


def test_the_actions_may_be_overwritten_once_sent(envs):
    envs.reset(0)
    actions = np.array([1, 1])
    expected = envs.step(actions).observations
    envs.reset(0)
    envs.send(actions)
    actions[:] = 99
    np.testing.assert_array_equal(envs.recv().observations, expected)


def test_after_close_everything_raises_but_close(envs):
    envs.reset(0)
    envs.close()
    envs.close()
    for call in (
        envs.reset,
        envs.recv,
        envs.__enter__,
        functools.partial(envs.send, [0, 0]),
        functools.partial(envs.step, [0, 0]),
    ):
        with pytest.raises(RuntimeError, match="closed. Make a new one"):
            call()


def test_leaving_the_context_closes():
    for make in KINDS.values():
        with make() as envs:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            envs.reset(0)


def test_steps_do_not_share_memory_with_each_other(envs):
    envs.reset(0)
    steps = [envs.step([0, 1]) for _ in range(7)]
    for earlier, later in zip(steps, steps[1:], strict=False):
        assert not np.shares_memory(earlier.observations, later.observations)
        assert not np.shares_memory(earlier.rewards, later.rewards)
    for step in steps:
        assert not np.shares_memory(step.rewards, step.training_rewards)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", True])
def test_a_bad_seed_of_reset_is_refused(envs, seed):
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        envs.reset(seed)


def test_environments_of_the_same_kind_are_made_from_the_recipe(envs):
    env, keywords = envs.recipe
    with make_envs(env, 3, **keywords) as more:
        assert more.options == {**envs.options, "num_envs": 3} | {
            key: more.options[key] for key in ("num_threads",) if key in more.options
        }


def test_evaluation_plays_the_same_environment_in_whole_games():
    options = dict(life_loss="reset", frame_skip=3, noop_max=7)
    with make_envs("ALE/Breakout-v5", 1, **options) as training:
        with make_evaluation_envs(training, 2, seed=5) as envs:
            assert envs.options["life_loss"] == "ignore"
            assert envs.options["frame_skip"] == 3
            assert envs.options["noop_max"] == 7
            assert envs.options["repeat_action_probability"] == 0.25
            assert (envs.num_envs, envs.options["seed"]) == (2, 5)
        with make_evaluation_envs(training, life_loss="reset") as envs:
            assert envs.options["life_loss"] == "reset"  # single lives, if asked
    with make_evaluation_envs("breakout") as envs:
        assert envs.options["life_loss"] == "ignore"


def test_evaluation_makes_a_constructors_environment_again():
    with make_envs(CountingEnv, env_kwargs={"length": 2}) as training:
        with make_evaluation_envs(training, 2) as envs:
            envs.reset(0)
            steps = [envs.step([0, 0]) for _ in range(2)]
            assert [episode.length for episode in steps[-1].episodes] == [2, 2]
