"""What is stored and what comes back: order, shapes, returns, refusals."""

import numpy as np
import pytest

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from tests.reference_replay import NaiveReplay
from tests.reference_replay import World
from tests.reference_replay import check_batch

pytestmark = pytest.mark.numpy


def started(capacity=16, num_envs=1, frame_stack=4, **options):
    world = World(num_envs, frame_stack)
    replay = UniformReplay(capacity, **options)
    replay.build(**world.spec)
    replay.start(world.reset())
    return replay, world


def by_id(replay, draws=500):
    """All transitions that can be drawn: a dictionary of dictionaries."""
    sample = replay.sample(draws, np.random.default_rng(0))
    first = {number: i for i, number in enumerate(sample.ids.tolist())}
    return {
        number: {name: array[i] for name, array in sample.batch.items()}
        for number, i in sorted(first.items())
    }


def rewards_and_discounts(replay):
    return {
        number: (float(one["rewards"]), float(one["discounts"]))
        for number, one in by_id(replay).items()
    }


def test_the_ring_fills_then_overwrites_the_oldest():
    replay, world = started(capacity=6, num_envs=2)
    sizes, fullness, oldest = [], [], []
    for _ in range(5):
        replay.add([0, 0], world.step())
        sizes.append(len(replay))
        fullness.append(replay.is_full)
        oldest.append(min(by_id(replay)))
    assert sizes == [2, 4, 6, 6, 6]
    assert fullness == [False, False, True, True, True]
    assert oldest == [0, 0, 0, 2, 4]
    assert set(by_id(replay)) == {4, 5, 6, 7, 8, 9}


def test_transitions_are_numbered_step_by_step_and_within_a_step_by_environment():
    replay, world = started(capacity=6, num_envs=2)
    for actions in ([10, 11], [20, 21], [30, 31], [40, 41]):
        replay.add(actions, world.step(rewards=actions))
    actions = {number: int(one["actions"]) for number, one in by_id(replay).items()}
    assert actions == {2: 20, 3: 21, 4: 30, 5: 31, 6: 40, 7: 41}
    env_seen = {
        n: int(one["observations"][-1, 0, 0]) for n, one in by_id(replay).items()
    }
    assert env_seen == {2: 1, 3: 2, 4: 1, 5: 2, 6: 1, 7: 2}


def test_a_batch_has_the_promised_names_shapes_and_dtypes():
    replay, world = started(num_envs=2)
    replay.add([0, 1], world.step(rewards=[1, 2]))
    sample = replay.sample(5, np.random.default_rng(0), beta=0.5)
    described = {n: (a.shape, a.dtype.name) for n, a in sample.batch.items()}
    assert described == {
        "observations": ((5, 4, 1, 3), "uint8"),
        "actions": ((5,), "int32"),
        "rewards": ((5,), "float32"),
        "discounts": ((5,), "float32"),
        "next_observations": ((5, 4, 1, 3), "uint8"),
        "weights": ((5,), "float32"),
    }
    assert (sample.ids.shape, sample.ids.dtype.name) == ((5,), "int64")


def test_what_the_environment_overwrites_later_stays_as_it_was_stored():
    replay, world = started(num_envs=1)
    step = world.step(rewards=[3.0])
    actions = np.array([2])
    replay.add(actions, step)
    before = by_id(replay)[0]
    for array in (actions, *vars(step).values()):
        array[:] = 1
    after = by_id(replay)[0]
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, name)


def test_writing_to_a_sample_does_not_touch_the_replay():
    replay, world = started(num_envs=1)
    replay.add([1], world.end(0))
    before = by_id(replay)[0]
    for array in replay.sample(50, np.random.default_rng(0)).batch.values():
        array[:] = 77
    after = by_id(replay)[0]
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, name)


def test_one_step_returns_are_the_reward_and_gamma_unless_it_terminated():
    replay, world = started(gamma=0.5)
    replay.add([0], world.step(rewards=[1]))
    replay.add([0], world.step(rewards=[2], terminated=[0]))  # a life, game goes on
    replay.add([0], world.step(rewards=[3], truncated=[0], restarted=[0]))
    replay.add([0], world.end(0, rewards=[4]))
    assert rewards_and_discounts(replay) == {
        0: (1.0, 0.5),
        1: (2.0, 0.0),
        2: (3.0, 0.5),
        3: (4.0, 0.0),
    }


def test_three_step_returns_stop_at_the_end_of_an_episode():
    replay, world = started(gamma=0.5, n_steps=3)
    for reward in (1, 2, 4, 8):
        replay.add([0], world.step(rewards=[reward]))
    replay.add([0], world.end(0, rewards=[16]))
    replay.add([0], world.step(rewards=[100]))
    replay.add([0], world.step(rewards=[1000]))
    assert rewards_and_discounts(replay) == {
        0: (1 + 2 / 2 + 4 / 4, 0.125),
        1: (2 + 4 / 2 + 8 / 4, 0.125),
        2: (4 + 8 / 2 + 16 / 4, 0.0),
        3: (8 + 16 / 2, 0.0),
        4: (16, 0.0),
    }


def test_three_step_returns_bootstrap_after_a_time_limit():
    replay, world = started(gamma=0.5, n_steps=3)
    replay.add([0], world.step(rewards=[1]))
    cut = world.step(rewards=[2], truncated=[0], restarted=[0])
    replay.add([0], cut)
    replay.add([0], world.step(rewards=[100]))
    replay.add([0], world.step(rewards=[1000]))
    assert rewards_and_discounts(replay) == {0: (2.0, 0.25), 1: (2.0, 0.5)}
    for one in by_id(replay).values():
        np.testing.assert_array_equal(
            one["next_observations"], cut.final_observations[0]
        )


def test_three_step_returns_stop_where_a_life_was_lost_though_the_game_goes_on():
    replay, world = started(gamma=0.5, n_steps=3)
    lost = world.step(rewards=[1], terminated=[0])
    replay.add([0], lost)
    for _ in range(2):
        replay.add([0], world.step(rewards=[100]))
    assert rewards_and_discounts(replay) == {0: (1.0, 0.0)}
    np.testing.assert_array_equal(
        by_id(replay)[0]["next_observations"], lost.observations[0]
    )


def test_a_transition_can_be_drawn_n_minus_1_steps_after_it_was_added():
    for replay_class in (UniformReplay, PrioritizedReplay):
        world = World(num_envs=2, frame_stack=0)
        replay = replay_class(10, n_steps=3)
        replay.build(**world.spec)
        replay.start(world.reset())
        drawn = []
        for _ in range(7):
            replay.add([0, 0], world.step())
            drawn.append(sorted(by_id(replay)) if replay.size >= 6 else None)
        assert drawn == [
            None,
            None,
            [0, 1],
            [0, 1, 2, 3],
            [0, 1, 2, 3, 4, 5],
            [2, 3, 4, 5, 6, 7],  # the ring of 5 steps is full
            [4, 5, 6, 7, 8, 9],
        ]


def test_gamma_0_leaves_the_first_reward_only():
    replay, world = started(gamma=0.0, n_steps=2)
    replay.add([0], world.step(rewards=[5]))
    replay.add([0], world.step(rewards=[7]))
    assert rewards_and_discounts(replay) == {0: (5.0, 0.0)}


def test_a_start_truncates_running_episodes_and_keeps_their_discounts():
    replay, world = started(gamma=0.5, n_steps=2, num_envs=2)
    naive = NaiveReplay(16, 2, gamma=0.5, n_steps=2)
    naive.start(world.observations())
    for rewards in ([1, 10], [2, 20]):
        last = world.step(rewards=rewards)
        replay.add([0, 0], last)
        naive.add([0, 0], last)
    replay.start(world.reset())
    naive.start(world.observations())
    for rewards in ([100, 1000], [100, 1000]):
        step = world.step(rewards=rewards)
        replay.add([0, 0], step)
        naive.add([0, 0], step)
    sample = replay.sample(200, np.random.default_rng(0))
    check_batch(sample.batch, sample.ids, naive)
    assert rewards_and_discounts(replay)[2] == (2.0, 0.5)
    cut = by_id(replay)[2]["next_observations"]
    np.testing.assert_array_equal(cut, last.final_observations[0])


def test_a_capacity_must_hold_whole_steps_of_all_environments():
    replay = UniformReplay(100)
    message = r"multiple of `num_envs`. Received: capacity=100, num_envs=8"
    with pytest.raises(ValueError, match=message):
        replay.build(num_envs=8, stored_shape=(2,), dtype="float32")
    replay.build(num_envs=10, stored_shape=(2,), dtype="float32")


def test_a_capacity_must_be_more_than_n_steps_of_all_environments():
    replay = UniformReplay(24, n_steps=3)
    with pytest.raises(ValueError, match="capacity=24, n_steps=3, num_envs=8"):
        replay.build(num_envs=8, stored_shape=(2,), dtype="float32")
    replay.build(num_envs=6, stored_shape=(2,), dtype="float32")


def test_building_twice_is_harmless_alike_and_refused_otherwise():
    replay, world = started(num_envs=2)
    replay.add([0, 0], world.step())
    replay.build(**world.spec)
    replay.build(**{**world.spec, "dtype": "uint8", "stored_shape": [4, 1, 3]})
    assert len(replay) == 2
    with pytest.raises(ValueError, match="built already"):
        replay.build(**{**world.spec, "dtype": "float32"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": 0}, "`num_envs` must be an integer"),
        ({"frame_stack": -1}, "`frame_stack` must be an integer"),
        ({"frame_stack": 3}, r"`stored_shape` .*\(4, 84, 84\), fr.*=3"),
        ({"frame_stack": 256}, "`frame_stack` must be an integer from 0 to 255"),
        ({"dtype": object}, "`dtype` must be .*object"),
        ({"dtype": "complex64"}, "`dtype` must be .*complex64"),
        ({"stored_shape": (4, 0)}, r"`stored_shape\[i\]` must be an integer"),
        ({"stored_shape": (4, 2.5)}, r"`stored_shape\[i\]` must be an integer"),
    ],
)
def test_an_impossible_storage_is_refused(changes, message):
    spec = {
        "num_envs": 1,
        "stored_shape": (4, 84, 84),
        "dtype": "uint8",
        "frame_stack": 4,
    }
    with pytest.raises(ValueError, match=message):
        UniformReplay(16).build(**{**spec, **changes})


def test_adding_before_the_start_is_refused():
    world = World(1, frame_stack=4)
    replay = UniformReplay(16)
    replay.build(**world.spec)
    world.reset()
    with pytest.raises(ValueError, match="Call `start` before"):
        replay.add([0], world.step())


def changed(step, **changes):
    for name, value in changes.items():
        setattr(step, name, value)
    return step


STACKS = np.zeros((2, 4, 1, 3))
BAD_STEPS = {
    "nan reward": ({"training_rewards": np.array([0, np.nan])}, "nan from environ.* 1"),
    "inf reward": ({"training_rewards": np.array([-np.inf, 0])}, "-inf from .* 0"),
    "huge reward": ({"training_rewards": np.array([0, 1e39])}, "inf from environ.* 1"),
    "column": ({"training_rewards": np.zeros((2, 1))}, r"shape \(2,\).*\(2, 1\)"),
    "object": ({"training_rewards": np.array([None, 0])}, "dtype=object"),
    "short": ({"terminated": np.zeros(1, bool)}, r"`terminated` .*shape=\(1,\)"),
    "ints": ({"truncated": np.zeros(2, int)}, "`truncated` must be booleans.*int64"),
    "dtype": ({"observations": STACKS}, r"`observations`.*dtype uint8.*float64"),
    "shape": (
        {"final_observations": STACKS[:, :, 0].astype(np.uint8)},
        r"`final_observations` must have shape \(2, 4, 1, 3\).*\(2, 4, 3\)",
    ),
    "list": ({"observations": [[0]]}, "must be a NumPy array.*list"),
    "restart": ({"restarted": np.array([False, True])}, "`restarted` .* environment 1"),
    "no restart": (
        {"truncated": np.array([True, False])},
        "`truncated` .* environment 0",
    ),
    "gap": (
        {"observations": STACKS.astype(np.uint8)},
        "must continue .* environment 0",
    ),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_an_invalid_step_is_refused_and_nothing_is_stored(name):
    changes, message = BAD_STEPS[name]
    replay, world = started(num_envs=2)
    replay.add([0, 0], world.step())
    before = {key: value.copy() for key, value in replay.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        replay.add([0, 0], changed(world.step(), **changes))
    after = replay.state_dict()
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, key)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, -1], "`actions` must be from 0 to"),
        ([0, 2**31], "`actions` must be from 0 to"),
        ([0.0, 1.0], "`actions` must be integers.*float64"),
        ([True, False], "`actions` must be integers.*bool"),
        ([0], r"`actions` must be integers.*shape=\(1,\)"),
    ],
)
def test_invalid_actions_are_refused(actions, message):
    replay, world = started(num_envs=2)
    with pytest.raises(ValueError, match=message):
        replay.add(actions, world.step())
    assert len(replay) == 0


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.bool_, np.float32])
def test_rewards_of_any_real_dtype_are_taken(dtype):
    replay, world = started()
    step = changed(world.step(), training_rewards=np.ones(1, dtype))
    replay.add([0], step)
    assert rewards_and_discounts(replay)[0][0] == 1.0


def test_one_step_returns_are_the_rewards_bit_for_bit():
    replay, world = started(num_envs=2)
    expected = []
    for number in range(40):
        ends = [number % 2] if number % 3 == 0 else []
        rewards = [0.1 * number, -number]
        replay.add([0, 1], world.step(ends, restarted=ends, rewards=rewards))
        discounts = [0.0 if env in ends else 0.99 for env in range(2)]
        expected += zip(rewards, discounts, strict=True)
    found = by_id(replay)
    assert set(found) == set(range(64, 80))
    for number, one in found.items():
        reward, discount = np.float32(expected[number])
        assert (one["rewards"], one["discounts"]) == (reward, discount)
