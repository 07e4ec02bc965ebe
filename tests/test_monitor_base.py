"""The contract of monitors."""

import subprocess
import sys

import pytest

from keras_dqn import monitor
from keras_dqn.progress import divergence_warning
from tests.records import make_evaluation
from tests.records import make_info
from tests.records import make_progress

pytestmark = pytest.mark.numpy


class Recorder(monitor.Monitor):
    """Notes what is asked of it."""

    def __init__(self, calls, name, error_in=None):
        self._calls, self._name, self._error_in = calls, name, error_in

    def _note(self, call):
        self._calls.append((self._name, call))
        if call == self._error_in:
            raise RuntimeError(f"{self._name} cannot {call}")

    def resume(self, env_steps):
        self._note(f"resume {env_steps}")

    def start(self, info):
        self._note("start")

    def write(self, progress):
        self._note("write")

    def message(self, text):
        self._note(text)

    def phase(self, name):
        self._note(f"phase {name}")

    def games(self, done, total):
        self._note(f"{done} of {total} games")

    def evaluation(self, env_steps, result, is_final):
        self._note(f"evaluation {env_steps} {result.mean} {is_final}")

    def close(self):
        self._note("close")


def test_monitors_pass_every_call_on_to_all_of_them_in_order():
    calls = []
    both = monitor.Monitors([Recorder(calls, "a"), Recorder(calls, "b")])
    both.resume(320)
    both.start(make_info())
    both.write(make_progress())
    both.message("hello")
    both.phase("evaluating")
    both.games(1, 2)
    both.evaluation(320, make_evaluation([1.5]), False)
    expected = ["resume 320", "start", "write", "hello", "phase evaluating"]
    expected += ["1 of 2 games", "evaluation 320 1.5 False"]
    assert calls == [(name, call) for call in expected for name in "ab"]


def test_monitors_close_the_others_when_closing_one_raises():
    calls = []
    names = [("a", None), ("b", "close"), ("c", None)]
    both = monitor.Monitors([Recorder(calls, n, error) for n, error in names])
    with pytest.raises(RuntimeError, match="b cannot close"):
        both.close()
    assert sorted(calls) == [("a", "close"), ("b", "close"), ("c", "close")]


def test_monitors_close_those_that_started_when_one_cannot_start():
    calls = []
    both = monitor.Monitors([Recorder(calls, "a"), Recorder(calls, "b", "start")])
    with pytest.raises(RuntimeError, match="b cannot start"):
        both.start(make_info())
    assert ("a", "close") in calls


def test_leaving_the_with_block_by_an_exception_closes():
    calls = []
    with pytest.raises(KeyError), monitor.Monitors([Recorder(calls, "a")]):
        raise KeyError("out")
    assert calls == [("a", "close")]


@pytest.mark.parametrize(
    ("options", "unit"),
    [
        ({"life_loss": "reset"}, "life"),
        ({"life_loss": "terminal"}, "game"),
        ({"life_loss": "ignore"}, "game"),
        ({}, "episode"),
    ],
)
def test_a_score_is_that_of_a_single_life_only_where_a_lost_life_resets(options, unit):
    assert make_info(env_options=options).score_unit == unit


@pytest.mark.parametrize("interval", [0, -1, 2.0, None])
@pytest.mark.parametrize("kind", ["plain", "jsonl"])
def test_a_log_interval_that_is_none_is_refused(kind, interval, tmp_path):
    with pytest.raises(ValueError, match=r"`log_interval_iterations` must .*Received"):
        if kind == "plain":
            monitor.PlainConsole(log_interval_iterations=interval)
        else:
            monitor.JsonLines(tmp_path / "m.jsonl", log_interval_iterations=interval)


def test_importing_the_monitors_loads_no_keras_rich_or_tensorboardx():
    code = (
        "import sys, keras_dqn.monitor\n"
        "heavy = {'keras', 'rich', 'tensorboardX', 'tensorflow', 'jax', 'torch'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_in_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Wandb'"):
        _ = monitor.Wandb


@pytest.mark.parametrize(
    ("largest", "reward", "gamma", "is_said"),
    [
        (20.0, 1.0, 0.5, False),  # ten times what is possible, to the dot
        (20.1, 1.0, 0.5, True),
        (1_001.0, 1.0, 0.99, True),
        (1_001.0, 2.0, 0.99, False),
        (11.0, 1.0, 0.0, True),
        (1e30, 1.0, 1.0, False),  # without discount there is no bound
        (1e30, 0.0, 0.99, False),  # no reward has been seen yet
    ],
)
def test_q_values_far_beyond_the_rewards_are_reported(largest, reward, gamma, is_said):
    record = make_progress(q_abs_max=largest, reward_abs_max=reward)
    assert (divergence_warning(record, gamma) is not None) == is_said
