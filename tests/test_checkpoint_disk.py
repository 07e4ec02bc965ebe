"""Disks that are full or fail: training goes on, and the old checkpoint stays."""

import errno
import os
import pathlib
import resource
import shutil
import stat
import tempfile
import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_dqn import checkpoint
from keras_dqn.runs.checkpoints import RunCheckpoints
from keras_dqn.system import files
from tests import vault

pytestmark = pytest.mark.numpy


@pytest.fixture(autouse=True)
def two_columns_in_a_segment(monkeypatch):
    monkeypatch.setattr(vault.ring_module, "SEGMENT_BYTES", 60)


def state(number, columns=4):
    return vault.with_ring(3 * number, columns)


def saved(directory, number):
    return checkpoint.save(directory, number, state(number), {"number": number})


def newest(directory):
    loaded = checkpoint.load(directory)
    number = loaded.meta["number"]
    frames = vault.contents(loaded.parts["replay"]["frames"])
    np.testing.assert_array_equal(frames, state(number)["replay"]["frames"].array)
    return number


def test_a_disk_that_cannot_flush_directories_is_supported(tmp_path, monkeypatch):
    """`fsync` of a directory is EINVAL on some file systems. A file's is no excuse."""
    fsync = os.fsync

    def flush(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    saved(tmp_path / "a", 1)
    assert checkpoint.load(tmp_path / "a").meta["number"] == 1

    def refuse(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(checkpoint.CheckpointError, match="Input/output error"):
        saved(tmp_path / "a", 2)


def every_name(directory):
    return sorted(path.name for path in directory.rglob("*"))


@pytest.mark.parametrize("call", ["open", "write", "fsync", "mkdir", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, None])
def test_a_call_that_fails_leaves_the_older_checkpoint_and_nothing_else(
    tmp_path, monkeypatch, call, code
):
    saved(tmp_path, 1)
    before = every_name(tmp_path)
    error = OSError("Not enough free space") if code is None else OSError(code, "no")
    original = getattr(os, call)
    for fails_at in range(1, 100):
        count = 0

        def failing(*args, **kwargs):
            nonlocal count
            count += 1
            # Directories are read to be tidied up; only what is written fails.
            if count == fails_at:  # noqa: B023
                raise error
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                saved(tmp_path, 2)
            except checkpoint.CheckpointError as failure:
                assert str(error) in str(failure)
                assert "It needs " in str(failure) and "are free in" in str(failure)
            else:
                break
        assert newest(tmp_path) in (1, 2)
        if newest(tmp_path) == 2:  # all was done but the last flush
            shutil.rmtree(tmp_path / "checkpoint-000000000002")
        checkpoint.Store(tmp_path).clean()
        assert every_name(tmp_path) == before
    assert fails_at > 1
    assert newest(tmp_path) == 2


def test_a_limit_in_the_middle_of_a_file_is_a_failure_like_any_other(tmp_path):
    saved(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {"learner": {"weights": np.zeros(100_000)}}
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(checkpoint.CheckpointError, match="It needs 800,0"):
            checkpoint.save(tmp_path, 2, large, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert newest(tmp_path) == 1
    assert not list(tmp_path.glob(".*"))


def test_what_cannot_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    saved(tmp_path, 1)
    before = every_name(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    message = r"disk space .* It needs \d+ bytes; 100 are free in "
    with pytest.raises(checkpoint.CheckpointError, match=message):
        saved(tmp_path, 2)
    assert every_name(tmp_path) == before


class Run:
    """A run that saves its checkpoints as the command does."""

    def __init__(self, directory):
        self.said = []
        self.saves = RunCheckpoints(directory, self.said.append)

    def begin(self, number):
        parts = state(number)
        ring = parts["replay"].pop("frames")
        parts["replay"] |= {"frames": ring.array, "time": np.int64(ring.time)}
        self.saves.begin(number, parts, {"number": number})

    def save(self, number):
        self.begin(number)
        vault.finish(self.saves, lambda: self.saves.newest == number)


def failing(monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(checkpoint.Store, "publish", fail)


def test_a_failed_save_is_reported_and_repeated_and_three_end_the_run(
    tmp_path, monkeypatch
):
    run = Run(tmp_path / "c")
    run.save(1)
    full = OSError(errno.ENOSPC, "No space left on device")
    for number, ends in ((2, False), (3, False), (4, True)):
        with monkeypatch.context() as patch:
            failing(patch, full)
            run.begin(number)
            lines = len(run.said)
            if ends:
                with pytest.raises(checkpoint.CheckpointError, match="3 checkpoints"):
                    vault.finish(run.saves, lambda: False)
            else:
                vault.finish(run.saves, lambda: len(run.said) > lines)  # noqa: B023
        assert "Could not save a checkpoint: [Errno 28]" in run.said[-1]
        assert "No space left on device" in run.said[-1]
        assert newest(tmp_path / "c") == 1 and run.saves.newest == 1
    run.save(5)  # the disk has space again, and the count starts anew
    assert newest(tmp_path / "c") == 5
    with monkeypatch.context() as patch:
        failing(patch, full)
        run.begin(6)
        run.saves.finish()  # two more may fail
    assert newest(tmp_path / "c") == 5


def test_an_error_of_the_writing_thread_is_raised_at_the_next_check(
    tmp_path, monkeypatch
):
    """Not only those of a disk: whatever went wrong must not be swallowed."""
    run = Run(tmp_path / "c")
    run.save(1)
    failing(monkeypatch, ZeroDivisionError("oh"))
    run.begin(2)
    run.saves.wait_until_written(2)  # does not wait for what is never written
    with pytest.raises(ZeroDivisionError, match="oh"):
        vault.finish(run.saves, lambda: False)
    run.begin(3)
    with pytest.raises(ZeroDivisionError, match="oh"):
        run.saves.finish()


def test_the_end_waits_for_a_save_and_an_interrupt_does_not(tmp_path, monkeypatch):
    write = files.write_new

    def slow(path, blocks):
        if path.name == "manifest.json":
            time.sleep(0.5)
        return write(path, blocks)

    monkeypatch.setattr(files, "write_new", slow)
    run = Run(tmp_path / "c")
    with pytest.raises(ValueError), run.saves:
        run.begin(1)
        raise ValueError("the training broke off")
    assert newest(tmp_path / "c") == 1
    with pytest.raises(KeyboardInterrupt), run.saves:
        run.begin(2)
        raise KeyboardInterrupt
    assert newest(tmp_path / "c") == 1
    assert not list((tmp_path / "c").glob(".*"))


def test_size_time_and_too_small_a_disk_are_reported_first(tmp_path, monkeypatch):
    run = Run(tmp_path / "c")
    usage = shutil.disk_usage(tmp_path)._replace(free=5 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    run.saves.prepare(10**9)
    (said,) = run.said
    assert "up to 1.00 GB each" in said and "5.00 GB" in said
    run.saves.prepare(7 * 10**9)
    assert "can take 28.00 GB" in run.said[-1]
    run.save(1)
    assert run.said[-2].startswith("First checkpoint: 1") and "about" in run.said[-2]
    run.save(2)
    assert run.said[-1].startswith("Saved checkpoint") and "First" not in run.said[-2]
    (tmp_path / "c" / ".unfinished-checkpoint-000000000009").mkdir()
    run.saves.prepare(1)
    assert any("Removed an unfinished save: " in text for text in run.said)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(data=st.data())
def test_two_valid_checkpoints_are_kept_whatever_fails(data):
    """Against a model: the numbers of the checkpoints that must be there."""
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as m:
        m.setattr(os, "fsync", lambda descriptor: None)
        directory = pathlib.Path(scratch) / "c"
        store = checkpoint.Store(directory)
        good, damaged = [], set()
        for number in range(1, data.draw(st.integers(2, 10))):
            event = data.draw(st.sampled_from(["save", "fail", "kill", "damage"]))
            if event == "save":
                store.save(number, state(number), {"number": number})
                good = [*good[-1:], number]
            elif event == "fail":
                with m.context() as patch:
                    failing(patch, OSError(errno.EIO, "no"))
                    with pytest.raises(OSError):
                        store.save(number, state(number), {"number": number})
            elif event == "kill":
                (directory / f".unfinished-checkpoint-{number:012d}").mkdir(
                    parents=True
                )
                checkpoint.Store(directory).new_segment().write_bytes(b"x")
            elif len(good) > 1:  # the newest is damaged while no process runs
                path = directory / f"checkpoint-{good[-1]:012d}" / "learner.bin"
                content = path.read_bytes()
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
                damaged.add(good.pop())
            if event in ("kill", "damage"):  # a new process goes on
                store = checkpoint.Store(directory)
                store.clean()
                if loaded := store.load():
                    vault.contents(loaded.parts["replay"]["frames"])
            if good:
                assert newest(directory) == good[-1]
            for number in good:
                assert (directory / f"checkpoint-{number:012d}").exists()
            assert len(list(directory.glob("checkpoint-*"))) <= 2 + len(damaged)
