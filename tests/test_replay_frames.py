"""Frames are stored once; stacks come back as the environment gave them."""

import numpy as np
import pytest

from keras_dqn.replay import UniformReplay
from tests.reference_replay import World

pytestmark = pytest.mark.numpy


def started(capacity=16, num_envs=1, frame_stack=4, **options):
    world = World(num_envs, frame_stack)
    replay = UniformReplay(capacity, **options)
    replay.build(**world.spec)
    replay.start(world.reset())
    return replay, world


def clocks(replay, number, name):
    """Which frames a stack shows: `(game, time)`, or None where it is blank."""
    sample = replay.sample(500, np.random.default_rng(0))
    stack = sample.batch[name][sample.ids.tolist().index(number)]
    return [tuple(f[0, 1:].tolist()) if f.any() else None for f in stack]


def test_stacks_are_blank_before_the_episode_and_never_show_the_one_before():
    replay, world = started()
    for step in (world.step(), world.end(0), world.step(), world.step()):
        replay.add([0], step)
    assert clocks(replay, 0, "observations") == [None, None, None, (0, 0)]
    assert clocks(replay, 0, "next_observations") == [None, None, (0, 0), (0, 1)]
    assert clocks(replay, 1, "observations") == [None, None, (0, 0), (0, 1)]
    assert clocks(replay, 1, "next_observations") == [None, (0, 0), (0, 1), (0, 2)]
    assert clocks(replay, 2, "observations") == [None, None, None, (1, 0)]
    assert clocks(replay, 3, "observations") == [None, None, (1, 0), (1, 1)]
    assert clocks(replay, 3, "next_observations") == [None, (1, 0), (1, 1), (1, 2)]


def test_a_full_ring_still_has_the_stack_of_its_oldest_transition():
    replay, world = started(capacity=6)
    for _ in range(10):
        replay.add([0], world.step())
    oldest = [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert clocks(replay, 4, "observations") == oldest
    assert clocks(replay, 9, "next_observations") == [(0, t) for t in (7, 8, 9, 10)]


def test_a_stack_continues_after_a_lost_life():
    replay, world = started()
    for _ in range(3):
        replay.add([0], world.step())
    replay.add([0], world.step(terminated=[0]))
    replay.add([0], world.step())
    assert clocks(replay, 3, "next_observations") == [(0, t) for t in (1, 2, 3, 4)]
    assert clocks(replay, 4, "observations") == [(0, t) for t in (1, 2, 3, 4)]


def test_several_episodes_of_one_step_do_not_mix():
    replay, world = started()
    for _ in range(4):
        replay.add([0], world.end(0))
    for game in range(4):
        blank = [None, None]
        assert clocks(replay, game, "observations") == [*blank, None, (game, 0)]
        assert clocks(replay, game, "next_observations") == [
            *blank,
            (game, 0),
            (game, 1),
        ]


def test_final_frames_are_dropped_with_their_transitions():
    replay, world = started(capacity=4, num_envs=2)
    for _ in range(2):
        replay.add([0, 0], world.step(terminated=[0, 1], restarted=[0, 1]))
    assert len(replay.state_dict()["final_slots"]) == 4
    replay.add([0, 0], world.end(1))
    assert replay.state_dict()["final_slots"].tolist() == [1, 2, 3]
    for _ in range(2):
        replay.add([0, 0], world.step())
    assert replay.state_dict()["final_slots"].tolist() == []


def test_the_bytes_of_final_frames_are_counted_while_they_are_kept():
    replay, world = started(capacity=4, num_envs=2)
    without = replay.nbytes
    for ends in [[0, 1], [0], [], [1], []]:
        replay.add([0, 0], world.step(terminated=ends, restarted=ends))
        final_bytes = len(replay.state_dict()["final_bytes"])
        assert (final_bytes > 0) == (replay.state_dict()["ended"].any())
        assert replay.nbytes == without + final_bytes
    loaded, _ = started(capacity=4, num_envs=2)
    loaded.load_state_dict(replay.state_dict())
    assert loaded.nbytes == replay.nbytes > without


def test_a_second_start_keeps_the_next_observations_of_the_first():
    replay, world = started()
    replay.add([0], world.step())
    replay.start(world.reset())
    replay.start(world.reset())
    replay.add([0], world.step())
    assert clocks(replay, 0, "next_observations") == [None, None, (0, 0), (0, 1)]
    assert clocks(replay, 1, "observations") == [None, None, None, (2, 0)]


def test_a_start_right_after_the_end_of_an_episode_keeps_its_final_frame():
    replay, world = started(gamma=0.5)
    replay.add([0], world.end(0))
    replay.start(world.reset())
    assert clocks(replay, 0, "next_observations") == [None, None, (0, 0), (0, 1)]
    sample = replay.sample(1, np.random.default_rng(0))
    assert sample.batch["discounts"].tolist() == [0.0]


@pytest.mark.parametrize("when", ["start", "restart"])
def test_a_first_stack_that_is_not_blank_is_refused(when):
    replay, world = started(num_envs=2)
    if when == "start":
        observations = world.reset()
        observations[1, 2] = 1
        with pytest.raises(ValueError, match="must be zeros.* from environment 1"):
            replay.start(observations)
    else:
        step = world.end(1)
        step.observations[1, 0] = 1
        with pytest.raises(ValueError, match="must be zeros.* from environment 1"):
            replay.add([0, 0], step)
    assert len(replay) == 0


def test_a_final_stack_that_does_not_continue_the_episode_is_refused():
    replay, world = started(num_envs=2)
    step = world.end(1)
    step.final_observations = step.observations  # of the next episode
    with pytest.raises(ValueError, match="must continue .* from environment 1"):
        replay.add([0, 0], step)


def test_observations_of_other_environments_and_dtypes_are_kept_as_they_are():
    rng = np.random.default_rng(0)
    for shape, dtype in [((), "int64"), ((3,), "float64"), ((2, 2), "bool")]:
        replay = UniformReplay(8)
        replay.build(num_envs=2, stored_shape=shape, dtype=dtype)
        seen = [(rng.normal(size=(2, *shape)) * 9).astype(dtype) for _ in range(5)]
        final = (rng.normal(size=(2, *shape)) * 9).astype(dtype)
        replay.start(seen[0])
        replay.add([0, 0], _step(seen[1], seen[1], []))
        replay.add([0, 0], _step(seen[2], final, [0, 1]))
        sample = replay.sample(50, np.random.default_rng(0))
        for i, number in enumerate(sample.ids):
            time, env = divmod(int(number), 2)
            after = (seen[1], final)[time]
            for name, expected in [
                ("observations", seen[time][env]),
                ("next_observations", after[env]),
            ]:
                assert sample.batch[name].dtype == dtype
                np.testing.assert_array_equal(sample.batch[name][i], expected)


def _step(observations, final_observations, truncated):
    world = World(2, frame_stack=0)
    world.reset()
    step = world.step(truncated=truncated, restarted=truncated)
    step.observations, step.final_observations = observations, final_observations
    return step


def test_both_stacks_of_one_step_transitions_share_their_memory():
    replay, world = started()
    replay.add([0], world.step())
    batch = replay.sample(4, np.random.default_rng(0)).batch
    assert np.shares_memory(batch["observations"], batch["next_observations"])


def test_a_long_stack_counts_its_age_without_overflow():
    replay, world = started(capacity=600, frame_stack=255)
    for _ in range(300):
        replay.add([0], world.step())
    shown = clocks(replay, 299, "observations")
    assert shown == [(0, time % 256) for time in range(45, 300)]
