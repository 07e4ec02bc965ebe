"""Exploration, checked against hand-made Q-values and known frequencies.

The statistical tests use fixed seeds, so they pass always or never.
"""

import numpy as np
import pytest

from keras_dqn.exploration import epsilon_greedy

pytestmark = pytest.mark.numpy


class StuckGenerator(np.random.Generator):
    """Draws the same number from [0, 1) for ever."""

    def __init__(self, number):
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self, size=None):
        return np.full(size, self.number)


def rng(seed=0):
    return np.random.default_rng(seed)


def chi_square(actions, num_actions):
    counts = np.bincount(actions, minlength=num_actions)
    expected = len(actions) / num_actions
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_there_is_one_int64_action_in_range_for_each_row(epsilon):
    actions = epsilon_greedy(rng().normal(size=(1000, 4)), epsilon, rng())
    assert actions.shape == (1000,)
    assert actions.dtype == np.int64
    assert set(actions) == {0, 1, 2, 3}


def test_epsilon_0_is_always_greedy():
    q_values = rng(1).normal(size=(5000, 4))
    actions = epsilon_greedy(q_values, 0.0, rng())
    np.testing.assert_array_equal(actions, q_values.argmax(axis=1))


def test_epsilon_0_is_greedy_even_where_the_coin_shows_0():
    # Strictly less: 0.0 < 0.0 is false.
    actions = epsilon_greedy([[0.0, 1.0]] * 3, 0.0, StuckGenerator(0.0))
    assert actions.tolist() == [1, 1, 1]


def test_a_coin_equal_to_epsilon_is_greedy_and_one_below_is_random():
    q_values = [[0.0, 0.0, 0.0, 1.0]]  # 0.25 * 4 actions: the random one is 1
    assert epsilon_greedy(q_values, 0.25, StuckGenerator(0.25)) == [3]
    assert epsilon_greedy(q_values, np.nextafter(0.25, 1), StuckGenerator(0.25)) == [1]


def test_epsilon_1_is_uniform_over_all_actions():
    q_values = np.tile([9.0, 1.0, 2.0, 3.0], (40_000, 1))
    actions = epsilon_greedy(q_values, 1.0, rng())
    assert chi_square(actions, 4) < 16.27  # 3 degrees of freedom, p = 0.001


@pytest.mark.parametrize("num_actions", range(1, 20))
def test_the_largest_draw_is_the_last_action_and_not_one_past_it(num_actions):
    largest = np.nextafter(1.0, 0.0)
    actions = epsilon_greedy(np.zeros((1, num_actions)), 1.0, StuckGenerator(largest))
    assert actions.tolist() == [num_actions - 1]


def test_the_coin_is_thrown_for_each_environment():
    # Were it one coin for the batch, a batch would be all greedy or all random.
    q_values = np.tile([0.0, 0.0, 0.0, 1.0], (8, 1))
    generator = rng()
    greedy = [(epsilon_greedy(q_values, 0.5, generator) == 3).sum() for _ in range(200)]
    mixed = np.mean([0 < count < 8 for count in greedy])
    assert mixed > 0.9  # 1 - 0.625**8 - 0.375**8 = 0.976


@pytest.mark.parametrize(
    "epsilon, share", [(0.0, 1.0), (0.1, 0.925), (0.5, 0.625), (1.0, 0.25)]
)
def test_the_greedy_share_is_1_minus_epsilon_plus_epsilon_over_n(epsilon, share):
    q_values = np.tile([0.0, 1.0, 0.0, 0.0], (100_000, 1))
    actions = epsilon_greedy(q_values, epsilon, rng(2))
    assert np.mean(actions == 1) == pytest.approx(share, abs=0.008)  # 5 sigma


def test_environments_do_not_share_their_random_actions():
    actions = epsilon_greedy(np.zeros((2, 100_000)), 1.0, rng())
    assert actions[0] != actions[1]


def test_among_equal_values_the_lowest_action_is_greedy():
    assert epsilon_greedy([[1, 2, 2], [5, 5, 5]], 0.0, rng()).tolist() == [1, 0]


def test_the_same_generator_gives_the_same_actions():
    q_values = rng(3).normal(size=(64, 6))
    first, again, other = (epsilon_greedy(q_values, 0.5, rng(s)) for s in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("num_actions", [1, 3, 18])
def test_a_call_takes_2n_numbers_whatever_epsilon_and_values_are(epsilon, num_actions):
    generator, reference = rng(6), rng(6)
    epsilon_greedy(rng(7).normal(size=(8, num_actions)), epsilon, generator)
    reference.random(2 * 8)
    assert generator.bit_generator.state == reference.bit_generator.state


def test_no_global_random_state_is_read_or_changed():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    epsilon_greedy(np.zeros((8, 4)), 0.5, rng())
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_q_values_are_not_changed():
    q_values = rng().normal(size=(8, 4)).astype("float32")
    copy = q_values.copy()
    epsilon_greedy(q_values, 0.5, rng())
    np.testing.assert_array_equal(q_values, copy)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_row(value, epsilon):
    """Also where the action is random."""
    q_values = np.zeros((4, 3))
    q_values[2, 1] = value
    with pytest.raises(FloatingPointError, match=r"diverged.*rows \[2\]"):
        epsilon_greedy(q_values, epsilon, rng())


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (4, 0), ()])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="`q_values` must have shape"):
        epsilon_greedy(np.zeros(shape), 0.5, rng())


@pytest.mark.parametrize("epsilon", [-0.01, 1.01, np.nan, None, "0.5"])
def test_an_epsilon_that_is_no_probability_is_refused(epsilon):
    with pytest.raises(ValueError, match="`epsilon` must be .* Received: epsilon="):
        epsilon_greedy(np.zeros((1, 2)), epsilon, rng())


@pytest.mark.parametrize("generator", [None, 0, np.random.RandomState(0)])
def test_what_is_no_generator_is_refused(generator):
    with pytest.raises(TypeError, match="`rng` must be"):
        epsilon_greedy(np.zeros((1, 2)), 0.5, generator)


def test_half_precision_values_are_read():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for dtype in (np.float16, bfloat16):
        q_values = np.array([[0.0, 2.0, 1.0]]).astype(dtype)
        assert epsilon_greedy(q_values, 0.0, rng()).tolist() == [1]
