"""One trainer in a run directory, and the lock goes when its process does."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from keras_dqn.system.lock import RunLock
from tests import runs

pytestmark = pytest.mark.numpy
ROOT = pathlib.Path(__file__).parents[1]
HOLD = (
    "import sys, time; from keras_dqn.system.lock import RunLock; "
    "lock = RunLock(sys.argv[1]); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path / "run"`."""
    out = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == b"held\n"
    (out / "settings.json").write_text("{}")
    yield child
    child.kill()
    child.communicate()


def command(*flags):
    words = () if "--resume" in flags else ("--preset", "cartpole")
    return runs.command("train", *words, *flags)


@pytest.fixture
def without_keras(monkeypatch):
    """Nothing is imported or made before the directory is known to be good."""
    monkeypatch.setitem(sys.modules, "keras_dqn.runs.parts", None)


@pytest.mark.parametrize("flags", [(), ("--resume",)])
def test_a_second_trainer_is_refused_at_once_by_the_pid_of_the_first(
    tmp_path, holder, capsys, without_keras, flags
):
    out = tmp_path / "run"
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert command("--out", str(out), *flags) == 74
    assert f"in use by process {holder.pid} on " in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_the_lock_of_a_killed_process_is_taken_over_and_said(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunLock(tmp_path / "run") as lock:
        assert lock.taken_over.startswith(f"process {holder.pid} on ")
        text = (tmp_path / "run" / "LOCK.json").read_text()
        assert json.loads(text)["pid"] == os.getpid()
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "settings.json"]


def test_a_lock_that_was_released_leaves_nothing_and_can_be_taken_again(tmp_path):
    for _ in range(2):
        lock = RunLock(tmp_path / "runs" / "a")
        assert lock.taken_over is None
        with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
            RunLock(tmp_path / "runs" / "a")
        lock.release()
        lock.release()
        assert list(tmp_path.iterdir()) == []  # the directories were made for it


def test_a_lock_file_with_anything_in_it_is_no_obstacle(tmp_path):
    for text in ("nonsense", "[]", '{"pid": "x"}', "[" * 5000, "\xff"):
        for name in ("LOCK", "LOCK.json"):
            (tmp_path / name).write_text(text)
        with RunLock(tmp_path) as lock:
            assert lock.taken_over == "an unknown process"


def test_of_many_that_come_at_once_one_gets_the_lock(tmp_path):
    script = (
        "import sys, time\nfrom keras_dqn.system.lock import RunLock\n"
        "try:\n    lock = RunLock(sys.argv[1])\n"
        "except BlockingIOError:\n    print('refused')\n"
        "else:\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    arguments = [sys.executable, "-c", script, str(tmp_path / "run")]
    children = [subprocess.Popen(arguments, cwd=ROOT, **pipes) for _ in range(4)]
    words = sorted(child.stdout.readline().strip() for child in children)
    for child in children:
        child.communicate()
    assert words == ["held", "refused", "refused", "refused"]


def test_a_directory_that_another_process_makes_first_is_no_error(
    tmp_path, monkeypatch
):
    mkdir = os.mkdir

    def late(path, *arguments):
        mkdir(path, *arguments)  # by the other process
        mkdir(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", late)
        lock = RunLock(tmp_path / "run")
    lock.release()
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]  # it is the other's
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        RunLock(tmp_path / "file")


@pytest.mark.parametrize(
    "place", ["/proc/no/run", "/dev/null/run", "file", "file/run", "run/checkpoints"]
)
def test_a_directory_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path, capsys, without_keras, place
):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / place if not place.startswith("/") else pathlib.Path(place)
    if place == "run/checkpoints":  # a file where the checkpoints should be
        out.parent.mkdir()
        out.write_text("mine")
        (out.parent / "settings.json").write_text("{}")
        flags = ("--resume", "--out", str(out.parent))
    else:
        flags = ("--out", str(out))
    assert command(*flags) == 74
    text = capsys.readouterr().err
    assert str(out) in text or str(out.parent) in text
    assert "Traceback" not in text
    assert (tmp_path / "file").read_text() == "mine"


def test_a_read_only_disk_is_refused_before_anything_is_made(
    tmp_path, capsys, without_keras, monkeypatch
):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system", str(args[0]))

    monkeypatch.setattr(os, "mkdir", refuse)
    assert command("--out", str(tmp_path / "run")) == 74
    assert "Read-only file system" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
