"""A disk that fills up under a run of the command: what is said, what stays."""

import errno
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from keras_dqn.runs.run import Run
from keras_dqn.system import files
from tests import runs
from tests.small import newest
from tests.small import registered
from tests.small import run
from tests.toys import CountingEnv

ROOT = pathlib.Path(__file__).parents[1]
PLAIN = ["--console", "plain", "--no-evaluation"]


@pytest.fixture
def full_disk(monkeypatch):
    """Fails to write `meta.json`, of every checkpoint that is in its list."""
    write_new, wanted, count = files.write_new, [], 0

    def write(path, blocks):
        nonlocal count
        if path.name == "meta.json":
            count += 1
            if count in wanted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_new(path, blocks)

    monkeypatch.setattr(files, "write_new", write)
    return wanted


def test_training_goes_on_after_a_save_that_failed(tmp_path, capsys, full_disk):
    full_disk += [2, 3]  # at 24 and 36 agent steps; at 12 and 48 there is room
    with registered(CountingEnv):
        assert run(tmp_path / "run", *PLAIN) == 0
    text = capsys.readouterr().out
    assert text.count("Could not save a checkpoint: ") == 2
    assert text.count("It needs ") == text.count("are free in ") == 2
    assert newest(tmp_path / "run") == 48
    saved = [line[-12:] for line in text.splitlines() if "checkpoints/ch" in line]
    assert saved == ["000000000012", "000000000048"]


def test_without_a_console_failed_saves_are_said_all_the_same(
    tmp_path, capsys, full_disk, monkeypatch
):
    full_disk += [2, 3]

    def full(run, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with registered(CountingEnv), monkeypatch.context() as patch:
        patch.setattr(Run, "_save_network", full)
        flags = ["--console", "none", "--evaluation-interval-iterations", "5"]
        assert run(tmp_path / "run", *flags) == 74  # the last network cannot be saved
    captured = capsys.readouterr()
    assert captured.err.count("Could not save a checkpoint: ") == 2
    assert captured.err.count("Could not save the best network: ") == 2
    assert "Could not" not in captured.out


def test_after_three_failures_in_a_row_the_run_ends_with_what_was_saved_before(
    tmp_path, capsys, full_disk
):
    full_disk += [2, 3, 4]
    with registered(CountingEnv):
        assert run(tmp_path / "run", *PLAIN, "--env-steps", "72") == 74
        captured = capsys.readouterr()
        assert "3 checkpoints in a row could not be saved" in captured.err
        assert "Traceback" not in captured.err
        assert newest(tmp_path / "run") == 12
        full_disk.clear()
        flags = ["--resume", "--console", "none", "--no-evaluation"]
        assert runs.command("train", *flags, "--out", tmp_path / "run") == 0
    assert newest(tmp_path / "run") == 72


def test_a_best_network_that_cannot_be_saved_is_said_and_the_training_goes_on(
    tmp_path, capsys, monkeypatch
):
    flush = files.flush

    def full(path, *flags):
        if path.name == ".unfinished.keras" and not (tmp_path / "run/late").exists():
            (tmp_path / "run/late").touch()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return flush(path, *flags)

    monkeypatch.setattr(files, "flush", full)
    with registered(CountingEnv):
        flags = ["--evaluation-interval-iterations", "5", *PLAIN]
        assert run(tmp_path / "run", *flags) == 0
    text = capsys.readouterr().out
    assert text.count("Could not save the best network: ") == 1
    assert text.count("Evaluation at ") == 2
    assert (tmp_path / "run" / "best.keras").exists()  # of the second


SCRIPT = """
import os, pathlib, subprocess, sys, threading, time
from tests import small, toys

disk = pathlib.Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=True)
filler = disk / "filler"

class Filling(toys.CountingEnv):
    steps = 0

    def step(self, action):
        Filling.steps += 1
        if self.steps == 14:  # after the first checkpoint, of three
            file = os.open(filler, os.O_WRONLY | os.O_CREAT)
            try:
                while os.write(file, bytes(4096)):
                    pass
            except OSError:
                os.close(file)
        if self.steps == 28:
            filler.unlink()
        return super().step(action)

with small.registered(Filling):
    code = small.run(disk / "run", "--console", "plain", "--no-evaluation")
print("code", code, "newest", small.newest(disk / "run"))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it mounts a disk in memory")
def test_a_real_disk_that_is_full_for_a_while(tmp_path):
    """Needs the right to make a user namespace, as root and most users have."""
    child = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", textwrap.dedent(SCRIPT), tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr
    assert "code 0 newest 48" in child.stdout
    assert "Could not save a checkpoint: [Errno 28]" in child.stdout
    assert " bytes; 0 are free in " in child.stdout
