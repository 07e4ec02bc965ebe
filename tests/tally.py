"""A pytest plugin: one framework per environment, and no test skipped.

`tox.ini` loads it with `-p tally --only jax`. The run fails before it starts if
another framework could be imported, and at its end if a test was skipped: what is
skipped in every environment is never run, and nobody sees it. It closes with a
line of counts. With `-n 2` (pytest-xdist) the process that collects the reports
counts, and the workers do not.
"""

import importlib.util
import os
import time

import pytest

FRAMEWORKS = ("tensorflow", "jax", "torch")


def pytest_addoption(parser):
    parser.addoption(
        "--only",
        choices=[*FRAMEWORKS, "numpy"],
        help="the one framework of this environment; numpy: none, nor Keras",
    )


def pytest_configure(config):
    only = config.getoption("--only")
    if only is None:
        return
    wanted = set() if only == "numpy" else {only, "keras"}
    found = {n for n in (*FRAMEWORKS, "keras") if importlib.util.find_spec(n)}
    if found != wanted:
        raise pytest.UsageError(
            f"--only {only} needs {sorted(wanted)} and nothing more of "
            f"{sorted({*FRAMEWORKS, 'keras'})}. Received: {sorted(found)}"
        )
    backend = os.environ.get("KERAS_BACKEND")
    if only != "numpy" and backend != only:
        raise pytest.UsageError(f"--only {only} with KERAS_BACKEND={backend}")
    config.stash[_STARTED] = time.monotonic()


_STARTED = pytest.StashKey()


def is_worker(config):
    """Whether this process runs tests for another one, which reports them."""
    return hasattr(config, "workerinput")


def pytest_ignore_collect(collection_path, config):
    """Leaves out the files that need Keras, where there is none."""
    if config.getoption("--only") != "numpy" or collection_path.suffix != ".py":
        return None
    if "pytest.mark.numpy" not in collection_path.read_text():
        return True
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    if session.config.getoption("--only") is None or is_worker(session.config):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter.stats.get("skipped"):
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    only = config.getoption("--only")
    if only is None:
        return
    stats = terminalreporter.stats
    for report in stats.get("skipped", ()):
        terminalreporter.write_line(f"SKIPPED, which is a failure: {report.nodeid}")
    counts = ", ".join(
        f"{len(stats.get(name, ()))} {name}"
        for name in ("passed", "failed", "error", "skipped")
    )
    seconds = time.monotonic() - config.stash[_STARTED]
    terminalreporter.write_line(f"tally: {only}: {counts}, in {seconds:.0f} s")
