"""The plugin that counts: a skipped test fails the run, with workers or without."""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.numpy

TESTS = pathlib.Path(__file__).parent
PASSES = "def test_passes():\n    pass\n"
SKIPS = "def test_skips():\n    pytest.skip('no time')\n"
SKIPS_ALL = "pytest.skip('no time', allow_module_level=True)\n"


def run_pytest(folder, workers, *sources):
    for number, source in enumerate(sources):
        head = "import pytest\npytestmark = pytest.mark.numpy\n"
        (folder / f"test_{number}.py").write_text(head + source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = numpy\n")
    command = ["-m", "pytest", "-p", "tally", "--only", "numpy", "-n", workers]
    return subprocess.run(
        [sys.executable, *command, str(folder)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skipped_test_fails_the_run_and_is_named(tmp_path, workers):
    done = run_pytest(tmp_path, workers, PASSES + SKIPS, PASSES, SKIPS_ALL)
    assert done.returncode == 1, done.stdout
    assert "tally: numpy: 2 passed, 0 failed, 0 error, 2 skipped" in done.stdout
    assert "test_0.py::test_skips" in done.stdout
    assert done.stdout.count("SKIPPED, which is a failure") == 2


@pytest.mark.parametrize("workers", ["0", "2"])
def test_without_one_it_passes_and_every_test_is_counted_once(tmp_path, workers):
    done = run_pytest(tmp_path, workers, *[PASSES] * 3)
    assert done.returncode == 0, done.stdout
    assert "tally: numpy: 3 passed, 0 failed, 0 error, 0 skipped" in done.stdout
