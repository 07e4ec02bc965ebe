"""A process that dies at any point of a save leaves a checkpoint that loads."""

import os
import shutil

import numpy as np
import pytest

from keras_dqn import checkpoint
from tests import vault
from tests.scripts import quick_result
from tests.scripts import run_script

pytestmark = pytest.mark.numpy
# Whatever changes a disk. Between two of these calls it looks the same.
CALLS = ("open", "write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir")
CALLS += ("ftruncate",)
KILLED = 137
COLUMNS = 4


@pytest.fixture(autouse=True)
def two_columns_in_a_segment(monkeypatch):
    monkeypatch.setattr(vault.ring_module, "SEGMENT_BYTES", 60)


@pytest.fixture
def quick_disk(monkeypatch):
    """A process that dies takes nothing along that the system has been given."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def die_at_call(number, is_halfway):
    """Ends this process before its call of this number, or in its middle."""
    count = 0

    def dying(call):
        def replacement(*args, **kwargs):
            nonlocal count
            count += 1
            if count == number:
                if is_halfway and call is write:
                    call(args[0], memoryview(args[1])[: len(args[1]) // 2])
                os._exit(KILLED)
            return call(*args, **kwargs)

        return replacement

    write = os.write
    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))


def in_child(action):
    """Runs it in a process of its own. Returns its exit code."""
    child = os.fork()
    if not child:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def save(directory, number):
    """Goes on from the newest checkpoint, as a resumed run does, and saves."""
    store = checkpoint.Store(directory)
    store.clean()
    if loaded := store.load():
        vault.contents(loaded.parts["replay"]["frames"])
    # 3 steps: one of two segments is new, and the other shared.
    store.save(number, vault.with_ring(3 * number, COLUMNS), {"number": number})


def save_in_place(directory, number):
    """What `save` is held against: the new files over the old ones."""
    scratch = directory.with_name("scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    state = vault.with_ring(3 * number, COLUMNS)
    checkpoint.save(scratch, 0, state, {"number": number})
    for source in sorted(scratch.rglob("*")):
        copy = directory / source.relative_to(scratch)
        if source.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
            continue
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, source.read_bytes())
        os.close(descriptor)


def check_every_death(tmp_path, save, is_halfway):
    """Dies at the first call of the third save, at the second, ... to the last."""
    before = tmp_path / "before"
    for number in (1, 2):
        save(before, number)
    for call in range(1, 500):
        directory = tmp_path / "checkpoints"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(before, directory)

        def dying():
            die_at_call(call, is_halfway)  # noqa: B023
            save(directory, 3)  # noqa: B023

        code = in_child(dying)
        number = check_what_is_left(directory)
        if code == 0:
            assert number == 3
            return call - 1
        assert code == KILLED
        save(directory, number + 1)
        assert check_what_is_left(directory) == number + 1
    raise AssertionError("the save never came to an end")


def check_what_is_left(directory):
    """Returns the number of the checkpoint that loads. All of it is of that one."""
    loaded = checkpoint.load(directory)
    number = loaded.meta["number"]
    assert number >= 2, "older than the last that was complete"
    assert not [note for note in loaded.notes if "Skipped" in note]
    expected = vault.with_ring(3 * number, COLUMNS)["replay"]["frames"].array
    frames = vault.contents(loaded.parts["replay"]["frames"])
    np.testing.assert_array_equal(frames, expected)
    return number


@pytest.mark.parametrize("is_halfway", [False, True])
def test_death_at_any_call_of_a_save_loses_nothing(tmp_path, quick_disk, is_halfway):
    calls = check_every_death(tmp_path, save, is_halfway)
    assert calls > 30


def test_a_program_that_overwrites_in_place_fails_the_same_test(tmp_path, quick_disk):
    with pytest.raises((checkpoint.CheckpointError, AssertionError)):
        check_every_death(tmp_path, save_in_place, is_halfway=False)


def test_death_at_any_moment_loses_nothing(tmp_path):
    _, figures = quick_result("kill_saves.py", tmp_path, "--kills", 20)
    assert figures["failures"] == [] and figures["saves"] >= 20


@pytest.mark.slow
def test_two_hundred_deaths_lose_nothing(tmp_path):
    done = run_script("kill_saves.py", "--kills", 200)
    assert done.returncode == 0, done.stdout


def test_the_kill_benchmark_finds_the_faults_of_a_writer_in_place():
    done = run_script("kill_saves.py", "--quick", "--naive", "--kills", 20)
    assert done.returncode == 1 and "No checkpoint" in done.stdout, done.stderr


def test_the_checkpoint_benchmark_runs(tmp_path):
    _, figures = quick_result("checkpoint.py", tmp_path)
    assert figures["first save"]["bytes"] >= figures["a quarter changed"]["bytes"]
    assert figures["first save"]["disk_bytes"] >= figures["first save"]["bytes"]


def test_files_of_killed_saves_are_removed_and_reported(tmp_path):
    save(tmp_path, 1)
    for number in range(3):
        (tmp_path / f".unfinished-checkpoint-{number:012d}").mkdir()
        (tmp_path / f".unfinished-checkpoint-{number:012d}" / "a.bin").write_bytes(b"x")
    (tmp_path / ".removed-checkpoint-000000000000").mkdir()
    orphan = tmp_path / "segments" / "000099.bin"
    orphan.write_bytes(b"x")
    removed = checkpoint.Store(tmp_path).clean()
    assert len(removed) == 5 and "segments/000099.bin" in removed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-000000000001",
        "segments",
    ]
    assert check_loads(tmp_path) == 1


def check_loads(directory):
    return checkpoint.load(directory).meta["number"]


def test_files_are_flushed_before_the_rename_and_directories_after(
    tmp_path, monkeypatch
):
    save(tmp_path, 1)
    log = []
    names = {}

    def logged(name):
        original = getattr(os, name)

        def call(*args, **kwargs):
            result = original(*args, **kwargs)
            if name == "open":
                names[result] = os.fspath(args[0])
            what = names.get(args[0], args[0]) if args else None
            log.append((name, os.fspath(what).replace(f"{tmp_path}", "").lstrip("/")))
            return result

        return call

    for name in ("open", "write", "fsync", "rename"):
        monkeypatch.setattr(os, name, logged(name))
    save(tmp_path, 2)
    staging = ".unfinished-checkpoint-000000000002"
    (renamed,) = [i for i, entry in enumerate(log) if entry == ("rename", staging)]
    written = {what for name, what in log[:renamed] if name == "write"}
    assert {f"{staging}/manifest.json", f"{staging}/learner.bin"} <= written
    assert any(what.startswith("segments/") for what in written)
    for what in written:
        last_write = max(i for i, e in enumerate(log) if e == ("write", what))
        assert log.index(("fsync", what)) > last_write
    flushed = [what for name, what in log[:renamed] if name == "fsync"]
    assert set(flushed) >= written | {"segments", staging}
    assert flushed.index(f"{staging}/manifest.json") < flushed.index(staging)
    assert ("fsync", "") in log[renamed:]  # the directory of the checkpoints
