"""Frames that are only named, and looked up in a copy, are the frames themselves."""

import types

import numpy as np
import pytest

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from keras_dqn.replay.mirror import rows_of
from tests.reference_replay import HostFrames
from tests.reference_replay import World

pytestmark = pytest.mark.numpy


class Copies:
    """Makes `HostFrames` and remembers them, and how often each was written to."""

    def __init__(self):
        self.made = []
        self.columns_written = 0

    def __call__(self, rows, frame_shape, dtype):
        self.made.append(HostFrames(rows, frame_shape, dtype))
        write = self.made[-1].write
        self.made[-1].write = lambda *args: (self._count(), write(*args))
        return self.made[-1]

    def _count(self):
        self.columns_written += 1


def built(world, capacity, replay_class=PrioritizedReplay, **options):
    replay = replay_class(capacity, **options)
    replay.build(**world.spec)
    return replay


def live(replay, world, steps, rng, chance=0.2):
    """Random endings of all kinds, and a cut now and then."""
    envs = range(world.num_envs)
    for _ in range(steps):
        if rng.random() < 0.05:
            replay.start(world.reset())
        how = rng.choice(4, world.num_envs, p=[1 - chance] + 3 * [chance / 3])
        step = world.step(
            terminated=[env for env in envs if how[env] in (1, 2)],
            truncated=[env for env in envs if how[env] == 3],
            restarted=[env for env in envs if how[env] in (2, 3)],
        )
        replay.add(np.zeros(world.num_envs, np.int64), step)


def assert_names_what_the_host_has(replay, copy, batches=None):
    options = {"beta": 0.5, "batches": batches}
    stacks = replay.sample(40, np.random.default_rng(3), **options)
    named = replay.sample(40, np.random.default_rng(3), frames="numbers", **options)
    np.testing.assert_array_equal(stacks.ids, named.ids)
    for name, expected in stacks.batch.items():
        value = named.batch[name]
        if name.endswith("observations"):
            assert value.dtype == np.int32
            value = copy.gather(value)
        np.testing.assert_array_equal(value, expected, name)
        assert value.dtype == expected.dtype


@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
@pytest.mark.parametrize("frame_stack", [0, 1, 2, 4])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_frames_by_row_number_equal_those_of_the_host_bit_for_bit(
    replay_class, frame_stack, n_steps
):
    world = World(3, frame_stack)
    replay = built(world, 3 * 17, replay_class, n_steps=n_steps)
    rng = np.random.default_rng(frame_stack)
    copies = Copies()
    replay.attach_frames(copies)
    replay.start(world.reset())
    for _ in range(25):
        live(replay, world, n_steps, rng)
        assert_names_what_the_host_has(replay, copies.made[0])
    assert_names_what_the_host_has(replay, copies.made[0], batches=4)


def test_every_frame_is_sent_once():
    world = World(2, 4)
    replay, copies = built(world, 20), Copies()
    replay.attach_frames(copies)
    replay.start(world.reset())
    for _ in range(30):
        replay.add([0, 0], world.step())
    assert copies.columns_written == 31


def test_a_copy_may_be_attached_late_and_follows_a_state_that_is_loaded():
    world, rng, copies = World(2, 4), np.random.default_rng(0), Copies()
    replay = built(world, 24)
    replay.start(world.reset())
    live(replay, world, 40, rng)
    replay.attach_frames(copies)
    assert_names_what_the_host_has(replay, copies.made[0])
    live(replay, world, 5, rng)
    assert_names_what_the_host_has(replay, copies.made[0])
    other = built(world, 24)
    other.attach_frames(copies)
    other.start(world.reset())
    live(other, world, 60, rng)
    state = {name: value.copy() for name, value in replay.state_dict().items()}
    other.load_state_dict(state)
    assert_names_what_the_host_has(other, copies.made[1])


def test_the_table_of_final_frames_grows_and_its_rows_are_used_again():
    world, copies = World(4, 2), Copies()
    replay = built(world, 4 * 50)
    replay.attach_frames(copies)
    replay.start(world.reset())
    sizes = set()
    for number in range(400):
        ends = [0, 1, 2, 3] if number < 200 else [number % 4]
        replay.add([0] * 4, world.step(terminated=ends, restarted=ends))
        sizes.add(len(copies.made[0].finals))
        if number % 50 == 49:
            assert_names_what_the_host_has(replay, copies.made[0])
    assert sizes == {64, 128, 256}  # 200 transitions, and never all of it in use


def test_row_numbers_are_refused_without_an_attached_copy():
    world = World(1, 2)
    replay = built(world, 8)
    replay.attach_frames(HostFrames)
    replay.attach_frames(None)
    replay.start(world.reset())
    replay.add([0], world.step())
    with pytest.raises(ValueError, match="Call `attach_frames` before"):
        replay.sample(2, np.random.default_rng(0), frames="numbers")
    with pytest.raises(ValueError, match="`frames` must be .* Received: frames='rows'"):
        replay.sample(2, np.random.default_rng(0), frames="rows")


def test_more_frames_than_int32_row_numbers_are_refused():
    ring = types.SimpleNamespace(num_envs=8, columns=2**27)
    with pytest.raises(ValueError, match="numbered in 32 bits. Received: 1073741824"):
        rows_of(ring)
