"""Rings are written in segments: only what changed, and of one moment."""

import itertools
import os
import tempfile
import threading
from time import sleep

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_dqn import checkpoint
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.system import files
from tests import vault
from tests.reference_replay import World

pytestmark = pytest.mark.numpy


@pytest.fixture(autouse=True)
def two_columns_in_a_segment(monkeypatch):
    monkeypatch.setattr(vault.ring_module, "SEGMENT_BYTES", 60)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # hundreds of saves


def segments(directory):
    return sorted(path.name for path in (directory / "segments").iterdir())


def test_only_segments_with_new_columns_are_written_and_others_are_shared(tmp_path):
    store = checkpoint.Store(tmp_path)
    sizes = []
    for time in (20, 21, 24, 24, 40):
        saving = store.begin(time, vault.with_ring(time, 8), {})
        saving.result()
        rest = saving.nbytes - sum(
            array.nbytes for part in vault.PARTS.values() for array in part.values()
        )
        sizes.append((rest - 2) // 60)  # 2 bytes of meta
        loaded = store.load()
        expected = vault.ring(time, 8).array
        frames = vault.contents(loaded.parts["replay"]["frames"])
        np.testing.assert_array_equal(frames, expected)
    # Time 20 is in columns 4 and 5 of 8; at 21 the same two are new, at 24 those of
    # 21 to 24; the column of the moment itself may be written once more.
    assert sizes == [4, 1, 3, 1, 4]


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(data=st.data())
def test_a_loaded_ring_equals_the_saved_one_whatever_was_written_between_saves(data):
    """Against a ring that is written column by column, as a replay's is."""
    columns = data.draw(st.integers(1, 9))
    array = np.zeros((2, columns, 5), np.uint32)
    time, stamp = 0, 1
    array[:, 0] = stamp
    saved, saved_time = array[:, :1].copy(), 0
    with tempfile.TemporaryDirectory() as directory:
        store = checkpoint.Store(directory)
        for number in range(data.draw(st.integers(1, 5))):
            for _ in range(data.draw(st.integers(0, 12))):
                stamp += 1
                if data.draw(st.booleans()):  # else the newest is written again
                    time += 1
                array[:, time % columns] = stamp
            if data.draw(st.booleans()) and number:  # a new process goes on
                store = checkpoint.Store(directory)
                before = store.load().parts["p"]["ring"]
                restored = np.zeros(before.shape, before.dtype)
                before.read_into(restored)
                np.testing.assert_array_equal(restored, saved)
                array[:, : saved.shape[1]] = restored
                array[:, saved.shape[1] :] = 0
                time = saved_time
            ring = checkpoint.Ring(array[:, : min(time + 1, columns)], time)
            store.save(number, {"p": {"ring": ring}}, {})
            saved, saved_time = ring.array.copy(), time
            found = vault.contents(checkpoint.load(directory).parts["p"]["ring"])
            np.testing.assert_array_equal(found, saved)


def test_a_segment_lives_as_long_as_a_checkpoint_that_names_it(tmp_path):
    store = checkpoint.Store(tmp_path)
    for time in (20, 21, 22, 23):
        store.save(time, vault.with_ring(time, 8), {})
    first = segments(tmp_path)
    assert "000001.bin" not in first  # of columns 4 and 5, written at 20
    assert "000003.bin" in first  # of columns 0 and 1, in both that are left
    bodies = [vault.body(path) for path in sorted(tmp_path.glob("checkpoint-*"))]
    named = {s["file"] for body in bodies for s in vault.segments(body)}
    assert named == set(first)


def test_a_store_that_read_no_ring_writes_all_of_it(tmp_path):
    """What another run left in the directory is not taken for this one's."""
    checkpoint.save(tmp_path, 1, vault.with_ring(20, 8), {})
    saving = checkpoint.Store(tmp_path).begin(2, vault.with_ring(21, 8), {})
    saving.result()
    assert saving.nbytes > 4 * 60


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)


def test_a_damaged_shared_segment_is_detected_and_written_again(tmp_path):
    store = checkpoint.Store(tmp_path)
    store.save(20, vault.with_ring(20, 8), {})
    flip_a_bit(tmp_path / "segments" / "000003.bin")  # columns 0 and 1: of 16, 17
    saving = store.begin(21, vault.with_ring(21, 8), {})
    saving.result()
    [note] = saving.notes
    assert "000003.bin was changed" in note
    assert "checkpoint-000000000020" in note and "checkpoint-000000000021" in note
    with pytest.raises(checkpoint.CheckpointError, match="000003.bin"):
        checkpoint.load(tmp_path)
    saving = store.begin(22, vault.with_ring(22, 8), {})
    saving.result()
    assert saving.notes == []
    loaded = checkpoint.load(tmp_path)
    assert loaded.path.name.endswith("22") and not loaded.notes
    frames = vault.contents(loaded.parts["replay"]["frames"])
    np.testing.assert_array_equal(frames, vault.ring(22, 8).array)


def test_checkpoints_with_a_damaged_segment_do_not_count_as_valid(tmp_path):
    store = checkpoint.Store(tmp_path)
    store.save(20, vault.with_ring(20, 8), {})
    newest = store.save(40, vault.with_ring(40, 8), {})  # shares nothing
    shared = vault.segments(vault.body(newest))[2]["file"]  # of columns 4 and 5
    flip_a_bit(tmp_path / "segments" / shared)
    for time in (41, 42):  # at 41 it is noticed: 40 and 41 are lost
        store.save(time, vault.with_ring(time, 8), {})
    names = sorted(path.name[-2:] for path in tmp_path.glob("checkpoint-*"))
    assert names == ["20", "40", "41", "42"]
    assert checkpoint.load(tmp_path).path.name.endswith("42")


def test_every_segment_is_verified_a_few_at_each_save(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(vault.scrub, "NBYTES_PER_SAVE", 61)  # two segments
    monkeypatch.setattr(
        vault.scrub.files, "check_digest", lambda path, _: read.append(path.name)
    )
    store = checkpoint.Store(tmp_path)
    for time in (20, 21, 22):
        store.save(time, vault.with_ring(time, 8), {})
    # Columns 4 and 5 are in the first, written again at 21 and 22, as 5 and 6.
    assert read == [f"{number:06d}.bin" for number in (1, 2, 3, 4, 6, 7)]


@pytest.fixture
def steps(monkeypatch):
    """`Saving` waits for this semaphore before each segment."""
    steps = threading.Semaphore(0)
    write = files.write_new

    def slow(path, blocks):
        if path.parent.name == "segments":
            assert steps.acquire(timeout=20)
        return write(path, blocks)

    monkeypatch.setattr(files, "write_new", slow)
    return steps


def test_training_waits_only_for_columns_that_it_overwrites(tmp_path, steps):
    ring = vault.ring(20, 8)  # newest in column 4
    expected = ring.array.copy()
    saving = checkpoint.Store(tmp_path).begin(1, {"replay": {"frames": ring}}, {})
    free = threading.Event()

    def train():
        for step in range(1, 9):
            saving.wait_until_written(step)
            ring.array[:, (20 + step) % 8] = 99
            if step == 1:
                free.set()

    trainer = threading.Thread(target=train, daemon=True)
    trainer.start()
    assert not free.wait(0.1)  # columns 4 and 5 are not on the disk yet
    steps.release()
    assert free.wait(10)
    trainer.join(0.1)
    assert trainer.is_alive()  # it stands before column 6
    assert np.all(ring.array[:, 5] == 99) and not np.any(ring.array[:, 6] == 99)
    steps.release(3)
    trainer.join(10)
    saving.result()
    loaded = checkpoint.load(tmp_path)
    frames = vault.contents(loaded.parts["replay"]["frames"])
    np.testing.assert_array_equal(frames, expected)  # of the moment it began
    assert np.all(ring.array == 99)


def test_a_save_during_training_has_all_parts_of_one_step(tmp_path, monkeypatch):
    """A real replay goes on while it is saved, round and round its ring."""
    monkeypatch.setattr(vault.ring_module, "SEGMENT_BYTES", 24)
    write = files.write_new

    def slow(*arguments):
        sleep(0.002)
        return write(*arguments)

    monkeypatch.setattr(files, "write_new", slow)
    world = World(num_envs=2, frame_stack=4)
    replay = PrioritizedReplay(48)
    replay.build(**world.spec)
    replay.start(world.reset())
    rng, times = np.random.default_rng(0), itertools.count()

    def step():
        time = next(times)
        replay.add([time % 3, 1], world.step(rewards=[time, 2]))
        drawn = replay.sample(8, rng)
        replay.update_priorities(drawn.ids, drawn.ids % 5 - 2.0)

    for _ in range(40):
        step()
    store = checkpoint.Store(tmp_path)
    for number in range(4):
        state = replay.state_dict()
        expected = {name: np.array(value) for name, value in state.items()}
        state["frames"] = checkpoint.Ring(state["frames"], int(state["time"]))
        saving = store.begin(number, {"replay": state}, {})
        for steps in range(1, 30):
            saving.wait_until_written(steps)
            step()
        saving.result()
        loaded = checkpoint.load(tmp_path, limits={"replay": replay.state_spec()})
        fresh = PrioritizedReplay(48)
        fresh.build(**world.spec)
        fresh.load_state_dict(loaded.parts["replay"])
        fresh.check_valid()
        for name, value in fresh.state_dict().items():
            np.testing.assert_array_equal(value, expected[name], name)


def test_a_state_of_a_replay_is_within_its_state_spec(tmp_path):
    replay = PrioritizedReplay(48, n_steps=2)
    replay.build(**World(num_envs=2, frame_stack=4).spec)
    world = World(num_envs=2, frame_stack=4)
    replay.start(world.reset())
    for number in range(60):
        done = number % 7 == 6
        replay.add([0, 1], world.end(0) if done else world.step(rewards=[1, 2]))
    limits = replay.state_spec()
    state = replay.state_dict()
    assert limits.keys() == state.keys()
    for name, (dtype, shape) in limits.items():
        assert state[name].dtype == dtype, name
        assert state[name].ndim == len(shape)
        assert all(np.less_equal(state[name].shape, shape)), name
