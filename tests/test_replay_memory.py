"""A replay that would not fit is refused before any of it is allocated."""

import os
import pathlib
import platform
import subprocess
import sys

import numpy as np
import pytest

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from keras_dqn.replay import available_bytes
from keras_dqn.replay import check_fits
from keras_dqn.system import memory

pytestmark = pytest.mark.numpy

GIB = 2**30
ATARI = {
    "num_envs": 8,
    "stored_shape": (4, 84, 84),
    "dtype": "uint8",
    "frame_stack": 4,
}


def system(root, files):
    """A file system with these files, and a machine with 10 GiB to spare."""
    files = {"proc/meminfo": f"MemFree: 1 kB\nMemAvailable: {10 * 2**20} kB\n", **files}
    for name, text in files.items():
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_available_memory_is_read_from_the_system(tmp_path):
    assert available_bytes(system(tmp_path, {})) == 10 * GIB


def test_available_memory_is_unknown_without_the_system_files(tmp_path):
    assert available_bytes(tmp_path) is None


def test_a_control_group_leaves_its_limit_less_its_use_but_for_the_file_cache(tmp_path):
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {1 * GIB}\nfile 7\n",
        },
    )
    assert available_bytes(root) == 2 * GIB


def test_the_tightest_of_nested_control_groups_counts(tmp_path):
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/inner/memory.max": "max\n",
            "sys/fs/cgroup/outer/inner/memory.current": f"{1 * GIB}\n",
            "sys/fs/cgroup/outer/memory.max": f"{6 * GIB}\n",
            "sys/fs/cgroup/outer/memory.current": f"{1 * GIB}\n",
        },
    )
    assert available_bytes(root) == 5 * GIB


def test_control_groups_of_version_1_count_also_where_their_path_is_the_hosts(tmp_path):
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu:/a\n4:memory:/docker/0123\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {GIB // 2}\n",
        },
    )
    assert available_bytes(root) == 3 * GIB // 2


def test_an_exhausted_control_group_leaves_nothing(tmp_path):
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "1000\n",
            "sys/fs/cgroup/memory.current": "2000\n",
        },
    )
    assert available_bytes(root) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no resource limits")
def test_a_limit_on_the_address_space_counts(tmp_path, monkeypatch):
    import resource

    root = system(tmp_path, {"proc/self/status": f"VmPeak: 9 kB\nVmSize: {2**20} kB\n"})
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3 * GIB, -1))
    assert available_bytes(root) == 2 * GIB
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)
    assert available_bytes(root) == 10 * GIB


def test_available_memory_of_this_machine_is_plausible():
    available = available_bytes()
    assert available is None or 0 <= available < 2**60


def test_too_large_an_allocation_is_refused_with_sizes_in_gib():
    check_fits(3 * GIB, "It", available=3 * GIB)
    message = r"It needs 3\.00 GiB of memory, but only 2\.50 GiB are available"
    with pytest.raises(MemoryError, match=message):
        check_fits(3 * GIB, "It", available=5 * GIB // 2)


def test_nothing_is_refused_where_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    check_fits(10**18, "It")


def test_a_replay_that_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 * GIB)

    def no_allocation(*_, **__):
        raise AssertionError("allocated")

    for name in ("zeros", "full", "empty"):
        monkeypatch.setattr(np, name, no_allocation)
    replay = PrioritizedReplay(1_000_000)
    message = r"1,000,000 transitions needs 6\.\d\d GiB .* only 5\.00 GiB"
    with pytest.raises(MemoryError, match=message):
        replay.build(**ATARI)


def test_a_million_transitions_of_breakout_take_less_than_7200_megabytes():
    frames = 1_000_000 * 84 * 84
    assert frames < PrioritizedReplay(1_000_000).nbytes_when_full(**ATARI) < 7.2e9
    assert frames < UniformReplay(1_000_000).nbytes_when_full(**ATARI) < 7.2e9


@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
def test_the_estimate_covers_what_is_allocated(replay_class):
    for capacity in (16, 2**14, 2**16):
        replay = replay_class(capacity)
        spec = {**ATARI, "stored_shape": (4, 2, 2)}
        replay.build(**spec)
        estimate = replay.nbytes_when_full(**spec)
        assert replay.nbytes <= estimate <= 2 * replay.nbytes + 10 * capacity


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_taken_only_as_the_replay_fills():
    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    replay = UniformReplay(2**16)
    replay.build(**ATARI)
    replay.start(np.zeros((8, 4, 84, 84), np.uint8))
    assert replay.nbytes > 460e6
    assert resident() - before < 40e6


FAULTS = """
import resource, sys
import numpy as np
from keras_dqn.system import memory

def step():  # as a gradient step does, many megabytes in blocks that are not large
    blocks = [np.ones(100_000, np.uint8) for _ in range(400)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    memory.retain_freed_memory()
for _ in range(5):
    step()
before = faults()
for _ in range(20):
    step()
print((faults() - before) / 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about that one")
def test_memory_that_was_freed_is_there_for_the_next_step():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    faults = {
        word: float(
            subprocess.run(
                [sys.executable, "-c", FAULTS, word],
                env=environment,
                capture_output=True,
                check=True,
            ).stdout
        )
        for word in ("keep", "return")
    }
    assert faults["keep"] < 10 < 1000 < faults["return"]
