"""What is kept and what is removed, when names do not tell the whole story."""

import os

import numpy as np
import pytest

from keras_dqn import checkpoint

pytestmark = pytest.mark.numpy


def save(store, step, exact=True, value=None):
    frames = np.full((2, 64, 4), step % 251 if value is None else value, np.uint8)
    ring = checkpoint.Ring(frames, step)
    parts = {"replay": {"frames": ring, "time": np.int64(step)}}
    return store.save(step, parts, {"exact": exact, "step": step})


def names(directory):
    return sorted(p.name for p in directory.iterdir() if p.name.startswith("check"))


def is_exact(meta):
    return meta["exact"]


def new_store(directory):
    return checkpoint.Store(directory, keep=is_exact)


def test_the_newest_exact_checkpoint_is_kept(tmp_path):
    store = new_store(tmp_path)
    save(store, 100)
    for step in (110, 120, 130):
        save(store, step, exact=False)
    assert names(tmp_path) == [f"checkpoint-{step:012d}" for step in (100, 120, 130)]
    assert new_store(tmp_path).load(is_exact).meta["step"] == 100
    save(store, 200)
    assert names(tmp_path) == [f"checkpoint-{step:012d}" for step in (130, 200)]


def test_skipped_newer_checkpoints_are_deleted_after_the_next_save(tmp_path):
    store = new_store(tmp_path)
    save(store, 100)
    for step in (150, 160):
        save(store, step, exact=False)
    store = new_store(tmp_path)
    assert store.load(is_exact).meta["step"] == 100
    save(store, 110, exact=False)
    assert names(tmp_path) == [f"checkpoint-{step:012d}" for step in (100, 110)]
    assert new_store(tmp_path).load().meta["step"] == 110


def test_a_checkpoint_found_damaged_after_its_save_replaces_none(tmp_path, monkeypatch):
    store = new_store(tmp_path)
    save(store, 100)
    for step in (110, 120):
        save(store, step, exact=False)
    rename = os.rename

    def damaging(old, new):
        rename(old, new)
        newest = max((tmp_path / "segments").iterdir())
        newest.write_bytes(bytes(len(newest.read_bytes())))

    monkeypatch.setattr(os, "rename", damaging)
    save(store, 130)
    monkeypatch.undo()
    kept = [f"checkpoint-{step:012d}" for step in (100, 110, 120, 130)]
    assert names(tmp_path) == kept
    assert new_store(tmp_path).load().meta["step"] == 120
    assert new_store(tmp_path).load(is_exact).meta["step"] == 100
    save(store, 140)  # exact, so that 100 is needed no more
    assert names(tmp_path) == [*kept[2:], "checkpoint-000000000140"]


def test_the_one_just_saved_is_never_the_one_removed(tmp_path):
    for step in (5000, 6000):
        save(new_store(tmp_path), step)
    store = new_store(tmp_path)
    path = save(store, 100)
    assert path.is_dir()
    save(store, 200)
    for name in names(tmp_path):
        assert name in {f"checkpoint-{step:012d}" for step in (200, 5000, 6000)}
    newest = new_store(tmp_path).load()
    assert newest.meta["step"] == 6000
    assert not any("was changed" in note for note in newest.notes)


def test_a_missing_segment_is_written_again(tmp_path):
    store = new_store(tmp_path)
    save(store, 10, value=7)
    for segment in (tmp_path / "segments").iterdir():
        segment.unlink()
    save(store, 11, value=7)
    loaded = new_store(tmp_path).load()
    assert loaded.meta["step"] == 11
    frames = np.zeros(loaded.parts["replay"]["frames"].shape, np.uint8)
    loaded.parts["replay"]["frames"].read_into(frames)
    assert np.all(frames == 7)


def test_a_segment_number_is_used_only_once(tmp_path):
    store = new_store(tmp_path)
    first = store.new_segment()
    assert store.new_segment() != first


def test_an_unreadable_directory_is_not_treated_as_empty(tmp_path, monkeypatch):
    save(new_store(tmp_path), 10)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError):
        new_store(tmp_path).load()
    assert new_store(tmp_path).clean() == []
    monkeypatch.undo()
    assert new_store(tmp_path).load().meta["step"] == 10
