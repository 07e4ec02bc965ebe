"""Faults in the middle of a run: where they are named, and what stays on disk."""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading

import gymnasium
import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn import checkpoint
from keras_dqn import training
from keras_dqn.backend import Learner
from keras_dqn.envs import EnvFault
from keras_dqn.monitor import Monitor
from tests import small
from tests import toys
from tests.small import registered
from tests.small import run

ROOT = pathlib.Path(__file__).parents[1]


class LateFault(toys.ScriptedEnv):
    """Healthy games of 5 steps until the 31st step of all together."""

    steps = 0

    def __init__(self, **fault):
        super().__init__(**fault)
        self._fault_at = self._at

    def step(self, action):
        LateFault.steps += 1
        self._at = self._time + 1 if LateFault.steps == 31 else 0
        return super().step(action)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"reward": float("nan")}, ["`reward` must be finite", "nan"]),
        ({"reward": None}, ["`reward` must be a number", "None"]),
        ({"observation": np.float32([0, np.inf])}, ["observation must be finite"]),
        ({"observation": np.zeros(3, np.float32)}, ["of shape (2,)", "shape=(3,)"]),
    ],
)
def test_a_fault_ends_the_run_with_its_place_and_the_checkpoint_before(
    tmp_path, capsys, monkeypatch, fault, words
):
    monkeypatch.setattr(LateFault, "steps", 0)
    with registered(lambda: LateFault(**fault)):
        assert run(tmp_path / "run") == 70
    text = capsys.readouterr().err
    place = "failed in iteration 7, after 28 agent steps: Environment 0 (Small-v0)"
    for word in (place, "of its episode", *words):
        assert word in text
    assert "Traceback" not in text
    assert_last_good(tmp_path / "run", 24)


def assert_last_good(out, env_steps):
    path, *_, skipped = checkpoint.load(out / "checkpoints")
    assert int(path.name.removeprefix("checkpoint-")) == env_steps and not skipped
    assert not list(out.rglob(".unfinished*"))
    assert not (out / "network.keras").exists()


def test_an_exception_in_an_environment_is_shown_with_its_own_traceback(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(LateFault, "steps", 0)
    with registered(lambda: LateFault(error=ZeroDivisionError("oh"))):
        assert run(tmp_path / "run") == 70
    text = capsys.readouterr().err
    assert "Traceback" in text and "raise self._error" in text
    assert "Environment 0 (Small-v0), step" in text.splitlines()[-1]
    assert "ZeroDivisionError: oh" in text.splitlines()[-1]
    assert_last_good(tmp_path / "run", 24)


def test_what_is_faulty_never_enters_the_replay():
    makers = [toys.CountingEnv, lambda: toys.ScriptedEnv(at=3, reward=float("nan"))]
    makers = iter(makers)
    network = keras_dqn.models.dueling_mlp(2, (2,), (4, 4))
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(32))
    agent.compile()
    with keras_dqn.make_envs(lambda: next(makers)(), num_envs=2) as envs:
        with pytest.raises(EnvFault, match="step 3"):
            agent.fit(envs, env_steps=64, monitors=None)
    assert agent.replay.size == 2 * 2
    agent.replay.check_valid()


def broken(error):
    def make():
        raise error

    return make


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [
        (RuntimeError("no screen"), True),
        (OSError("no screen"), True),
        (gymnasium.error.DependencyNotInstalled("pip install screen"), False),
        (ImportError("pip install screen"), False),
    ],
)
def test_an_environment_that_cannot_be_made_is_a_matter_of_settings(
    tmp_path, capsys, error, has_traceback
):
    with registered(broken(error)):
        assert run(tmp_path / "run") == 78
    text = capsys.readouterr().err
    assert str(error) in text.splitlines()[-1]
    assert ("Traceback" in text) == has_traceback
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_makes_one_environment_only_is_refused_before_the_run(
    tmp_path, capsys
):
    """Its evaluations would play on in the games of the training."""
    env = toys.CountingEnv()
    with registered(lambda: env):
        assert run(tmp_path / "run", "--num-envs", "1") == 78
    text = capsys.readouterr().err
    assert "new environment each time" in text and "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


def test_a_missing_rom_is_said_with_what_to_install(tmp_path, capsys, monkeypatch):
    (tmp_path / "roms").mkdir()
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path / "roms"))
    # ALE itself would end the process.
    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", None)
    assert run(tmp_path / "run", "--env", "Breakout") == 78
    text = capsys.readouterr().err
    assert "pip install --force-reinstall ale-py" in text and "Traceback" not in text


def test_anything_unforeseen_is_shown_whole_and_exits_with_70(
    tmp_path, capsys, monkeypatch
):
    is_due = training.is_checkpoint_due

    def unforeseen(settings, state):
        if state.iteration == 5:
            raise KeyError("surprise")
        return is_due(settings, state)

    monkeypatch.setattr(training, "is_checkpoint_due", unforeseen)
    with registered(toys.CountingEnv):
        assert run(tmp_path / "run") == 70
    text = capsys.readouterr().err
    assert "Traceback" in text and "KeyError: 'surprise'" in text
    assert "failed in iteration 5, after 20 agent steps" in text
    assert_last_good(tmp_path / "run", 12)


def test_an_interrupt_that_leaves_a_mess_is_still_an_interrupt(
    tmp_path, capsys, monkeypatch
):
    """On JAX the state may be gone when an update is broken off."""

    def gone(self):
        raise RuntimeError("Array has been deleted")

    def interrupted(self, batch):
        monkeypatch.setattr(Learner, "sync_variables", gone)
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "update", interrupted)
    with registered(toys.CountingEnv):
        assert run(tmp_path / "run") == 75


# The network -------------------------------------------------------------------

FIT = {
    "vector_steps_per_iteration": 1,
    "updates_per_iteration": 1,
    "batch_size": 8,
    "learning_starts_env_steps": 16,
}


def make_agent(scale=1.0):
    """An agent for `EchoEnv`, its weights multiplied by `scale`."""
    network = keras_dqn.models.dueling_mlp(4, (4,), (8,))
    network.set_weights([scale * w for w in network.get_weights()])
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(64))
    agent.compile(keras.optimizers.Adam(1e-6))
    return agent


def test_a_network_of_nans_does_not_act():
    """The largest of NaNs would be action 0, without a word."""
    with pytest.raises(FloatingPointError, match="the network has diverged"):
        make_agent(np.nan).evaluate(toys.EchoEnv, episodes=1)
    with keras_dqn.make_envs(toys.EchoEnv, num_envs=2) as envs:
        with pytest.raises(FloatingPointError, match="the network has diverged"):
            make_agent(np.nan).fit(envs, env_steps=64, monitors=None, **FIT)


def test_a_network_of_nans_is_not_saved_over_a_good_one(tmp_path, capsys, monkeypatch):
    state_dict = Learner.state_dict
    calls = []

    def ruined(self):
        calls.append(self)
        state = state_dict(self)
        if len(calls) == 2:
            state["online/0"][0] = np.nan
        return state

    monkeypatch.setattr(Learner, "state_dict", ruined)
    with registered(toys.CountingEnv):
        assert run(tmp_path / "run") == 70
    text = capsys.readouterr().err
    assert "must be finite to be saved" in text and "online/0" in text
    assert "Traceback" not in text
    assert_last_good(tmp_path / "run", 12)


class Notes(Monitor):
    """Keeps the messages."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


def test_values_beyond_all_rewards_are_warned_of_once():
    """Rewards up to 1 and a gamma of 0.99 allow 100; it is said from 1,000 on."""

    def warnings(scale):
        notes = Notes()
        with keras_dqn.make_envs(toys.EchoEnv, num_envs=2) as envs:
            make_agent(scale).fit(envs, env_steps=128, monitors=notes, **FIT)
        return [text for text in notes.messages if "|Q| has reached" in text]

    assert warnings(1.0) == []
    (text,) = warnings(100.0)  # two layers: Q is some thousands
    assert "rewards up to 1 and gamma 0.99" in text


# The process -------------------------------------------------------------------


def test_a_reader_that_goes_away_does_not_end_the_run_and_nothing_forks(tmp_path):
    """As with `| head -1`."""
    out = tmp_path / "run"
    flags = [*small.flags(env_id="CartPole-v1"), "--console", "plain"]
    code = "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    code += "runpy.run_module('tests.programs', run_name='__main__', alter_sys=True)"
    child = subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code, str(ROOT), "run"]
        + [*flags, "--log-interval-iterations", "1", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline()
    child.stdout.close()
    text = child.stderr.read()
    assert child.wait(timeout=300) == 0, text
    assert "Error" not in text and "forked" not in text
    path, *_ = checkpoint.load(out / "checkpoints")
    assert path.name.endswith("48")


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    """Only the dates in TensorBoard's files are of the wall clock."""
    # After 1980: Keras writes zip files, which hold no earlier dates.
    jumps = itertools.cycle([1e9, 4e9, 5e8, 2e9])
    monkeypatch.setattr("time.time", lambda: next(jumps))
    with registered(toys.CountingEnv):
        assert run(tmp_path / "run", "--console", "plain", "--tensorboard") == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line).get("env_steps_per_second") for line in lines]
    assert all(rate is None or 0 < rate < 1e6 for rate in rates)


def traces():
    """What a run could leave behind in this process."""
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return threading.enumerate(), len(os.listdir("/proc/self/fd")), children


@pytest.mark.parametrize(
    "env",
    [pytest.param("Breakout", marks=pytest.mark.slow), "CartPole-v1", "Small-v0"],
)
def test_nothing_is_left_behind_whatever_the_end(tmp_path, monkeypatch, env):
    fault = 3 if env == "Small-v0" else 0
    with registered(lambda: toys.ScriptedEnv(at=fault, reward=None)):
        run(tmp_path / "warm", "--env", env)  # frameworks keep threads of their own
        before = traces()
        assert run(tmp_path / "run", "--env", env) == (70 if fault else 0)
        assert traces() == before
