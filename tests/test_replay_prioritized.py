"""How likely transitions are drawn, and what weights make up for it."""

import numpy as np
import pytest

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from tests.reference_replay import World

pytestmark = pytest.mark.numpy


def filled(capacity, steps, num_envs=1, replay_class=PrioritizedReplay, **options):
    world = World(num_envs, frame_stack=2)
    replay = replay_class(capacity, **options)
    replay.build(**world.spec)
    replay.start(world.reset())
    for _ in range(steps):
        add(replay, world)
    return replay, world


def add(replay, world):
    replay.add(np.zeros(world.num_envs, np.int64), world.step())


def weight_by_id(replay, beta):
    """The weight of each transition, of enough draws to meet them all."""
    sample = replay.sample(2000, np.random.default_rng(0), beta=beta)
    return dict(zip(sample.ids.tolist(), sample.batch["weights"], strict=True))


def chi_square(counts, probabilities):
    expected = counts.sum() * probabilities
    return np.sum((counts - expected) ** 2 / expected)


def test_new_transitions_enter_at_the_highest_priority_there_has_been():
    replay, world = filled(capacity=8, steps=2, alpha=0.5, priority_epsilon=1.0)
    assert replay.max_priority == 1.0
    replay.update_priorities([0], [-15.0])  # p = 16, leaf = 4
    replay.update_priorities([0], [0.0])  # p = 1, and the maximum stays
    assert replay.max_priority == 16.0
    add(replay, world)
    weights = weight_by_id(replay, beta=1.0)  # smallest leaf over leaf
    assert weights == {0: 1.0, 1: 1.0, 2: 0.25}


def test_weights_are_those_of_the_paper():
    replay, _ = filled(capacity=4, steps=4, alpha=0.6, priority_epsilon=1e-12)
    replay.update_priorities([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
    weights = weight_by_id(replay, beta=0.4)
    expected = [1.0, 0.84674531, 0.76822936, 0.71697762]
    np.testing.assert_allclose([weights[i] for i in range(4)], expected, rtol=1e-6)


def test_without_beta_all_weights_are_1():
    replay, _ = filled(capacity=4, steps=4)
    replay.update_priorities([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
    assert set(weight_by_id(replay, beta=0.0).values()) == {1.0}


def test_weights_are_scaled_by_the_smallest_stored_priority_not_the_smallest_sampled():
    replay, _ = filled(capacity=1000, steps=1000, alpha=1.0, priority_epsilon=1.0)
    replay.update_priorities(np.arange(1000), np.full(1000, 1e6 - 1.0))
    replay.update_priorities([500], [0.0])  # all but impossible to draw
    sample = replay.sample(64, np.random.default_rng(0), beta=1.0)
    assert 500 not in sample.ids
    np.testing.assert_allclose(sample.batch["weights"], 1e-6, rtol=1e-6)


def test_an_overwritten_transition_no_longer_scales_the_weights():
    replay, world = filled(capacity=3, steps=3, alpha=1.0, priority_epsilon=1.0)
    replay.update_priorities([0, 1, 2], [0.0, 1.0, 3.0])  # p = 1, 2, 4
    assert weight_by_id(replay, beta=1.0) == {0: 1.0, 1: 0.5, 2: 0.25}
    add(replay, world)  # 3 in place of 0, p = 4
    assert weight_by_id(replay, beta=1.0) == {1: 1.0, 2: 0.5, 3: 0.5}


def test_the_last_td_error_counts_if_a_transition_is_sampled_twice():
    replay, _ = filled(capacity=4, steps=2, alpha=1.0, priority_epsilon=1.0)
    ids = np.array([[0, 1], [1, 1]])
    replay.update_priorities(ids, np.array([[0.0, 8.0], [1.0, -3.0]]))
    assert replay.max_priority == 9.0  # it was met, if not kept
    assert weight_by_id(replay, beta=1.0) == {0: 1.0, 1: 0.25}


def test_a_transition_with_a_td_error_of_0_can_still_be_sampled():
    replay, _ = filled(capacity=4, steps=4, alpha=0.6, priority_epsilon=1e-6)
    replay.update_priorities([0, 1, 2, 3], np.zeros(4))
    weights = weight_by_id(replay, beta=1.0)
    assert weights == dict.fromkeys(range(4), 1.0)
    replay.update_priorities([0], [1.0])
    expected = (1e-6 / (1.0 + 1e-6)) ** 0.6
    assert weight_by_id(replay, beta=1.0)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batches", [None, 8])
def test_draws_are_proportional_to_the_priorities(batches):
    replay, _ = filled(capacity=64, steps=64, alpha=0.6)
    td_errors = np.random.default_rng(3).normal(size=64) * 5.0
    replay.update_priorities(np.arange(64), td_errors)
    leaves = (np.abs(td_errors) + 1e-6) ** 0.6
    sample = replay.sample(32_000, np.random.default_rng(4), batches=batches)
    counts = np.bincount(sample.ids.ravel(), minlength=64)
    # 63 degrees of freedom: exceeded by chance once in 10,000 seeds at 113.
    assert chi_square(counts, leaves / leaves.sum()) < 113.0


def test_draws_are_independent_and_not_stratified():
    replay, _ = filled(capacity=16, steps=16)
    sample = replay.sample(16, np.random.default_rng(5), batches=2000)
    distinct = [len(set(ids)) for ids in sample.ids.tolist()]
    # 16 independent draws of 16 meet 16 (1 - (15/16)**16) = 10.30 on average.
    assert np.mean(distinct) == pytest.approx(10.30, abs=0.1)


def test_with_alpha_0_draws_are_uniform_and_all_weights_1():
    replay, world = filled(capacity=32, steps=31, alpha=0.0)
    replay.update_priorities(np.arange(31), np.geomspace(1e-6, 1e6, 31))
    add(replay, world)
    sample = replay.sample(50_000, np.random.default_rng(6), beta=1.0)
    counts = np.bincount(sample.ids, minlength=32)
    # 31 degrees of freedom, exceeded by chance once in 10,000 seeds at 69.
    assert chi_square(counts, np.full(32, 1 / 32)) < 69.0
    np.testing.assert_array_equal(sample.batch["weights"], 1.0)


def test_uniform_replay_draws_uniformly_of_what_is_stored_with_weights_of_1():
    replay, _ = filled(capacity=32, steps=40, replay_class=UniformReplay)
    replay.update_priorities(np.arange(40), np.arange(40))  # ignored
    sample = replay.sample(50_000, np.random.default_rng(7), beta=0.5)
    counts = np.bincount(sample.ids, minlength=40)
    assert counts[:8].sum() == 0  # overwritten
    assert chi_square(counts[8:], np.full(32, 1 / 32)) < 69.0
    np.testing.assert_array_equal(sample.batch["weights"], 1.0)
    assert sample.batch["weights"].dtype == np.float32


def test_several_batches_are_the_same_draws_as_one_large_batch():
    replay, _ = filled(capacity=32, steps=32, num_envs=2)
    replay.update_priorities(np.arange(32, 64), np.arange(32))
    many = replay.sample(5, np.random.default_rng(8), beta=0.5, batches=3)
    one = replay.sample(15, np.random.default_rng(8), beta=0.5)
    np.testing.assert_array_equal(many.ids.ravel(), one.ids)
    for name, array in one.batch.items():
        assert many.batch[name].shape == (3, 5, *array.shape[1:])
        np.testing.assert_array_equal(
            many.batch[name].reshape(array.shape), array, name
        )


def test_the_same_generator_state_draws_the_same_sample():
    replay, _ = filled(capacity=32, steps=32)
    first, second = (replay.sample(64, np.random.default_rng(9)) for _ in range(2))
    other = replay.sample(64, np.random.default_rng(10))
    np.testing.assert_array_equal(first.ids, second.ids)
    assert not np.array_equal(first.ids, other.ids)


def test_the_td_error_of_an_overwritten_transition_is_ignored():
    replay, world = filled(capacity=4, steps=4, alpha=1.0, priority_epsilon=1.0)
    replay.update_priorities([0, 1, 2, 3], [1.0, 1.0, 1.0, 1.0])
    add(replay, world)  # 4 in place of 0, p = 2
    replay.update_priorities([0, 1], [1e9, 0.0])
    assert replay.max_priority == 2.0
    assert weight_by_id(replay, beta=1.0) == {1: 1.0, 2: 0.5, 3: 0.5, 4: 0.5}
    replay.update_priorities([0], [5.0])  # nothing is left
    assert replay.max_priority == 2.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_td_error_that_is_not_finite_is_refused_and_nothing_changes(value):
    replay, _ = filled(capacity=4, steps=4)
    before = replay.state_dict()
    with pytest.raises(ValueError, match=f"finite. Received: {value} for transition 2"):
        replay.update_priorities([1, 2], [3.0, value])
    np.testing.assert_array_equal(replay.state_dict()["leaves"], before["leaves"])
    assert replay.max_priority == 1.0


@pytest.mark.parametrize(
    ("ids", "td_errors"),
    [([0, 1], [1.0]), ([[0, 1]], [1.0, 1.0]), ([0.0], [1.0]), ([0], 1.0)],
)
def test_ids_and_td_errors_that_do_not_match_are_refused(ids, td_errors):
    replay, _ = filled(capacity=4, steps=4)
    with pytest.raises(ValueError, match="`ids` must be integers, one for each"):
        replay.update_priorities(ids, td_errors)


@pytest.mark.parametrize("number", [-1, 4, 10**12])
def test_an_id_that_was_never_sampled_is_refused(number):
    replay, _ = filled(capacity=8, steps=4)
    with pytest.raises(ValueError, match=f"from 0 to 3, .* Received: {number} "):
        replay.update_priorities([0, number], [1.0, 1.0])


def test_no_transition_can_be_updated_before_there_is_one():
    replay, _ = filled(capacity=8, steps=1, n_steps=2)
    with pytest.raises(ValueError, match="before a transition can be sampled"):
        replay.update_priorities([0], [1.0])


def test_a_huge_td_error_breaks_nothing():
    replay, world = filled(capacity=4, steps=4)
    replay.update_priorities([0], [np.float32(3e38)])
    add(replay, world)
    sample = replay.sample(64, np.random.default_rng(0), beta=1.0)
    assert np.isfinite(sample.batch["weights"]).all()
    replay.check_valid()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 0}, "`capacity` must be an integer"),
        ({"capacity": 8.0}, "`capacity` must be an integer"),
        ({"capacity": True}, "`capacity` must be an integer"),
        ({"alpha": -0.1}, "`alpha` must be a number from 0 to 1"),
        ({"alpha": 1.1}, "`alpha` must be a number from 0 to 1"),
        ({"alpha": float("nan")}, "`alpha` must be a number from 0 to 1"),
        ({"gamma": 1.01}, "`gamma` must be a number from 0 to 1"),
        ({"gamma": "0.9"}, "`gamma` must be a number from 0 to 1"),
        ({"n_steps": 0}, "`n_steps` must be an integer"),
        ({"priority_epsilon": 0.0}, "`priority_epsilon` must be a finite number above"),
        ({"priority_epsilon": np.inf}, "`priority_epsilon` must be a finite number"),
    ],
)
def test_an_argument_out_of_range_is_refused(options, message):
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=message) as error:
        PrioritizedReplay(**{"capacity": 8, **options})
    assert f"Received: {name}={value!r}" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer"),
        ({"batches": 0}, "`batches` must be an integer"),
        ({"beta": 1.5}, "`beta` must be a number from 0 to 1"),
        ({"beta": float("nan")}, "`beta` must be a number from 0 to 1"),
        ({"rng": 7}, "`rng` must be a `numpy.random.Generator`"),
        ({"rng": np.random}, "`rng` must be a `numpy.random.Generator`"),
    ],
)
@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
def test_sampling_with_an_argument_out_of_range_is_refused(
    replay_class, arguments, message
):
    replay, _ = filled(capacity=4, steps=4, replay_class=replay_class)
    good = {"batch_size": 2, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=message):
        replay.sample(**{**good, **arguments})


@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
def test_nothing_can_be_sampled_before_n_steps_were_added(replay_class):
    replay, world = filled(8, steps=2, replay_class=replay_class, n_steps=3)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="nothing to sample yet.*Received: 2 steps"):
        replay.sample(4, rng)
    add(replay, world)
    assert set(replay.sample(100, rng).ids.tolist()) == {0}


@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
def test_a_replay_that_was_not_built_says_so(replay_class):
    replay = replay_class(8)
    assert (len(replay), replay.nbytes, replay.is_full) == (0, 0, False)
    for use in (
        lambda: replay.sample(1, np.random.default_rng(0)),
        lambda: replay.start(np.zeros(1)),
        lambda: replay.add([0], None),
        lambda: replay.state_dict(),
        lambda: replay.check_valid(),
    ):
        with pytest.raises(ValueError, match="Call `build` first"):
            use()
