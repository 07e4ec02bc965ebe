"""A saved replay goes on as if nothing had happened; a damaged one is refused."""

import io
import re
import tracemalloc
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from tests.reference_replay import World

pytestmark = pytest.mark.numpy

OPTIONS = {"capacity": 12, "n_steps": 2}


def lived(steps=9, replay_class=PrioritizedReplay):
    world = World(num_envs=2, frame_stack=4)
    replay = replay_class(**OPTIONS)
    replay.build(**world.spec)
    replay.start(world.reset())
    for number in range(steps):
        step = world.end(number % 2) if number % 3 == 2 else world.step(rewards=[1, 2])
        replay.add([number, 0], step)
    if replay_class is PrioritizedReplay and steps > 7:
        replay.update_priorities(np.arange(10, 14), np.arange(4.0))
    return replay, world


def fresh(replay_class=PrioritizedReplay, **options):
    replay = replay_class(**{**OPTIONS, **options})
    replay.build(**World(num_envs=2, frame_stack=4).spec)
    return replay


def copied(state):
    return {name: np.array(value) for name, value in state.items()}


def assert_equal_states(state, other):
    assert state.keys() == other.keys()
    for name in state:
        assert state[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(state[name], other[name], name)


@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6, 9, 20])
def test_a_loaded_replay_goes_on_exactly_as_the_saved_one(replay_class, steps):
    replay, world = lived(steps, replay_class)
    file = io.BytesIO()
    np.savez(file, **replay.state_dict())
    file.seek(0)
    loaded = fresh(replay_class)
    loaded.load_state_dict(dict(np.load(file, allow_pickle=False)))
    rngs = [np.random.default_rng(1), np.random.default_rng(1)]
    for number in range(15):
        step = world.end(0) if number % 4 == 1 else world.step(rewards=[3, 4])
        for each, rng in zip((replay, loaded), rngs, strict=True):
            each.add([number, 1], step)
            if len(each) >= 4:
                sample = each.sample(16, rng, beta=0.5)
                each.update_priorities(sample.ids, sample.ids % 5 - 2.0)
        assert_equal_states(replay.state_dict(), loaded.state_dict())
    loaded.check_valid()
    if replay_class is PrioritizedReplay:
        for level, other in zip(replay.tree.levels, loaded.tree.levels, strict=True):
            np.testing.assert_array_equal(level, other)


def test_a_replay_that_was_built_but_never_started_can_be_saved():
    loaded = fresh()
    loaded.load_state_dict(fresh().state_dict())
    with pytest.raises(ValueError, match="Call `start` before"):
        loaded.add([0, 0], None)


def test_only_what_is_filled_is_saved():
    replay, _ = lived(steps=2)
    state = replay.state_dict()
    assert state["frames"].shape == (2, 3, 1, 3)
    assert state["actions"].shape == state["leaves"].shape == (4,)


def test_frames_in_the_state_are_a_view_and_nothing_else_is():
    replay, world = lived(steps=20)
    state = replay.state_dict()
    assert np.shares_memory(state["frames"], replay.state_dict()["frames"])
    before = copied(state)
    replay.update_priorities(np.arange(30, 38), np.full(8, 50.0))
    assert_equal_states(before, state)
    for _ in range(20):  # goes round the ring
        replay.add([3, 3], world.end(0, rewards=[5, 6]))
    frames, frames_before = state.pop("frames"), before.pop("frames")
    assert not np.array_equal(frames, frames_before)
    assert_equal_states(before, state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 14}, "of a replay with capacity=14. Received: capacity=12"),
        ({"n_steps": 1}, "of a replay with n_steps=1. Received: n_steps=2"),
        ({"alpha": 0.5}, "of a replay with alpha=0.5. Received: alpha=0.6"),
    ],
)
def test_the_state_of_another_replay_is_refused(options, message):
    replay, _ = lived()
    with pytest.raises(ValueError, match=message):
        fresh(**options).load_state_dict(replay.state_dict())


DAMAGE = {
    "time": (np.array(-1), "`time` must be .* time=-1"),
    "is_started": (np.array(False), "`time` must be .* is_started=False"),
    "age": (np.uint8([3, 3]), "`ages` must count"),
    "ages": (np.zeros(12, np.uint8), "`ages` must count"),
    "ended": (np.zeros(12, bool), "`ages` must count"),
    "final_slots": (np.array([0, 1]), "`final_slots` must be the slots"),
    "final_sizes": (np.array([-1, 1]), "`final_sizes` must be"),
    "final_bytes": (np.zeros(999, np.uint8), r"`final_bytes` .*shape=\(999,\)"),
    "actions": (np.full(12, -1, np.int32), "`actions` in the state must not"),
    "rewards": (np.full(12, np.nan, np.float32), "`rewards` in the state must be"),
    "terminated": (np.zeros(12, np.uint8), "`terminated` .*dtype bool. .*uint8"),
    "frames": (np.zeros((2, 9, 1, 3), np.uint8), r"`frames` .*\(2, 10, 1, 3\)"),
    "leaves": (np.zeros(12), "`leaves` in the state must be above 0"),
    "max_priority": (np.array(0.5), "`max_priority` in the state must be finite"),
    "extra": (np.zeros(1), r"unknown entries. Received: \['extra'\]"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_state_is_refused_and_the_replay_stays_as_it_was(name):
    replay, _ = lived()
    target, _ = lived(steps=3)
    before = copied(target.state_dict())
    value, message = DAMAGE[name]
    with pytest.raises(ValueError, match=message):
        target.load_state_dict({**replay.state_dict(), name: value})
    assert_equal_states(before, target.state_dict())


@pytest.mark.parametrize("name", sorted(set(DAMAGE) - {"extra"}))
def test_a_missing_or_pickled_entry_is_refused_by_name(name):
    state = lived()[0].state_dict()
    array = state.pop(name)
    with pytest.raises(ValueError, match=f"must contain `{name}`"):
        fresh().load_state_dict(state)
    with pytest.raises(ValueError, match=f"`{name}` .*dtype=object"):
        fresh().load_state_dict({**state, name: array.astype(object)})
    with pytest.raises(ValueError, match=f"`{name}` .*must be a NumPy array.*type "):
        fresh().load_state_dict({**state, name: array.tolist() or [1]})


@pytest.mark.parametrize("leaf", [-1.0, np.nan, np.inf, 1e9])
def test_leaves_out_of_range_are_refused(leaf):
    state = lived()[0].state_dict()
    state["leaves"][0] = leaf
    with pytest.raises(ValueError, match="must be from 0 to `max_priority"):
        fresh().load_state_dict(state)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(data=st.data())
def test_a_final_frame_with_a_flipped_bit_is_refused_or_harmless(data):
    state = lived()[0].state_dict()
    damaged = state["final_bytes"].copy()
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(
        st.integers(1, 255)
    )
    loaded = fresh()
    try:
        loaded.load_state_dict({**state, "final_bytes": damaged})
    except ValueError as error:
        assert re.search("`final_bytes` of slot .* damaged", str(error))
    else:
        loaded.check_valid()
        loaded.sample(200, np.random.default_rng(0))


def test_a_final_frame_that_would_unpack_to_gigabytes_is_refused_before_it_does():
    bomb = zlib.compress(bytes(50_000_000), 9)
    state = lived()[0].state_dict()
    first, *others = state["final_sizes"]
    rest = state["final_bytes"][first:]
    state["final_sizes"] = np.array([len(bomb), *others])
    state["final_bytes"] = np.concatenate([np.frombuffer(bomb, np.uint8), rest])
    loaded = fresh()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="`final_bytes` .* damaged"):
            loaded.load_state_dict(state)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_ages_that_begin_before_the_first_episode_are_refused():
    state = lived(steps=2)[0].state_dict()
    assert state["ages"].tolist() == [0, 0, 1, 1]
    state |= {"ages": np.uint8([1, 1, 2, 2]), "age": np.uint8([3, 3])}
    with pytest.raises(ValueError, match="`ages` must count"):
        fresh().load_state_dict(state)


def test_a_priority_without_a_transition_is_found_invalid():
    replay, _ = lived(steps=3)
    replay.tree[11] = 1.0
    with pytest.raises(ValueError, match="without a transition"):
        replay.check_valid()
