"""Evaluation: whole games, fair shares, right statistics."""

import numpy as np
import pytest

from keras_dqn import evaluation
from keras_dqn.envs import make_envs
from keras_dqn.envs import make_evaluation_envs
from tests.toys import CountingEnv
from tests.toys import EchoEnv

pytestmark = pytest.mark.numpy


def zeros(observations):
    return np.zeros((len(observations), 2), np.float32)


class Uneven(CountingEnv):
    """Every second environment made plays games four times as long."""

    made = 0

    def __init__(self):
        super().__init__(length=4 if Uneven.made % 2 else 16)
        Uneven.made += 1


def test_every_environment_plays_its_share_however_long_it_takes():
    Uneven.made = 0
    with make_envs(Uneven, num_envs=2) as envs:
        result = evaluation.evaluate(zeros, envs, episodes=5, epsilon=0.0, seed=0)
    # Whoever ends first would give four short games and one long one.
    assert sorted(result.lengths) == [4, 4, 16, 16, 16]


def test_scores_are_sums_of_raw_rewards():
    with make_envs(lambda: CountingEnv(length=4), num_envs=3) as envs:
        result = evaluation.evaluate(zeros, envs, episodes=3, epsilon=0.0, seed=0)
    np.testing.assert_array_equal(result.scores, [10.0] * 3)  # 1 + 2 + 3 + 4


def test_the_policy_is_followed_and_epsilon_departs_from_it():
    def echo(observations):
        return observations

    with make_envs(EchoEnv, num_envs=2) as envs:
        greedy = evaluation.evaluate(echo, envs, episodes=4, epsilon=0.0, seed=0)
        mixed = evaluation.evaluate(echo, envs, episodes=40, epsilon=0.5, seed=0)
    assert greedy.mean == 16.0
    # Half of the actions are drawn from four symbols: 16 * (1/2 + 1/8) = 10.
    assert mixed.mean == pytest.approx(10.0, abs=1.0)


def test_one_seed_gives_the_same_games_and_another_seed_others():
    def scores(seed):
        with make_envs(EchoEnv, num_envs=2) as envs:
            return evaluation.evaluate(
                lambda o: np.zeros((2, 4)), envs, episodes=10, epsilon=1.0, seed=seed
            ).scores

    np.testing.assert_array_equal(scores(1), scores(1))
    assert (scores(1) != scores(2)).any()


def test_the_games_that_have_ended_are_counted_from_none_to_all():
    counts = []
    with make_envs(lambda: CountingEnv(length=4), num_envs=2) as envs:
        evaluation.evaluate(
            zeros, envs, 5, 0.0, 0, on_game=lambda *count: counts.append(count)
        )
    assert counts == [(0, 5), (2, 5), (4, 5), (5, 5)]
    with pytest.raises(TypeError, match="`on_game` must be"):
        evaluation.evaluate(zeros, envs, 5, 0.0, 0, on_game=3)


def test_mean_deviation_and_interval_by_hand():
    result = evaluation.Evaluation(
        np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 1, 1]), 0.05, "toy"
    )
    assert result.mean == 2.5
    assert result.std == pytest.approx(1.2909944)  # sqrt(5 / 3)
    low, high = result.interval
    assert low == pytest.approx(2.5 - 1.96 * 1.2909944 / 2)
    assert high == pytest.approx(2.5 + 1.96 * 1.2909944 / 2)
    assert "mean score 2.50 over 4 episodes" in str(result)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([1.0, 3.0], ["score 2.00 over", "best 3, worst 1,"]),
        ([-21.0, -20.0], ["score -20.50 over", "best -20, worst -21,"]),
        ([0.09, 0.45], ["score 0.270 over", "best 0.450, worst 0.090,"]),
        ([1e-5, 3e-5], ["score 0.0000200 over", "best 0.0000300, worst 0.0000100,"]),
        ([1.5, 2.0], ["score 1.75 over", "best 2.00, worst 1.50,"]),
        ([0.0, 0.0], ["score 0.00 over", "best 0, worst 0,"]),
    ],
)
def test_scores_are_shown_with_the_digits_that_they_need(scores, words):
    result = evaluation.Evaluation(np.array(scores), np.array([5, 5]), 0.05, "Toy")
    for text in words:
        assert text in str(result)


@pytest.mark.parametrize("episodes", [0, -1, 1.5, True, "3", None])
def test_a_number_of_episodes_that_cannot_be_played_is_refused(episodes):
    with make_envs(EchoEnv) as envs:
        with pytest.raises(ValueError, match="`episodes` must be an integer"):
            evaluation.evaluate(zeros, envs, episodes, 0.0, 0)


def test_breakout_is_evaluated_on_whole_games_with_raw_scores():
    with make_envs("Breakout", 2, life_loss="reset", frame_skip=3) as training_envs:
        with make_evaluation_envs(training_envs, 2) as envs:
            assert envs.options["life_loss"] == "ignore"
            assert envs.options["frame_skip"] == 3  # played as it was trained
            policy = np.random.default_rng(0)
            result = evaluation.evaluate(
                lambda o: policy.random((2, 4)), envs, episodes=2, epsilon=1.0, seed=0
            )
    # A random player needs about 35 agent steps for each of five lives.
    assert result.lengths.min() > 80
