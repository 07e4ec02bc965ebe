"""Any settings give a run that really runs, or a refusal; never a traceback."""

import contextlib
import io

import pytest
from hypothesis import event
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn.config import FIELDS
from tests import runs
from tests import small

# A game that Gymnasium has, so that other games and flags of games can be tried.
BASE = {
    **small.SETTINGS,
    "env_id": "CartPole-v1",
    "updates_per_iteration": 2,
    "replay_capacity": 24,
    "learning_starts_env_steps": 24,
    "evaluation_episodes": 1,
}
# Edges that rules meet, one or two fields at a time; most combinations run.
CHANGES = {
    "--num-envs": [1, 3, 0],
    "--vector-steps-per-iteration": [1, 24, 25],
    "--updates-per-iteration": [1, 3],
    "--updates-per-dispatch": [2, 3],
    "--replay-capacity": [36, 25, 1],
    "--learning-starts-env-steps": [4, 12, 25, "none", 3],
    "--n-steps": [3, 11, 12],
    "--gamma": [0, 1, 1.5, "nan"],
    "--alpha": [0, 1, -1],
    "--replay-kind": ["uniform", "ranked"],
    "--batch-size": [1, 24, 25],
    "--target-sync-env-steps": [1, "1M", 0],
    "--epsilon-endpoints": ["none", "0:1,48:0.5", "0:0,48:1", "0:1"],
    "--epsilon-final": [0, 1],
    "--beta-final": [0, "a"],
    "--clipnorm": ["none", 0],
    "--huber-delta": [1e-3, "inf"],
    "--learning-rate": [1e-8, 0],
    "--dtype-policy": ["mixed_bfloat16", "float8"],
    "--seed": [0, 2**31 - 1, 2**31, -1],
    "--checkpoint-interval-iterations": [1, 0],
    "--log-interval-iterations": [1, -1],
    "--histogram-interval-iterations": [1, 0.5],
    "--evaluation-interval-iterations": [7],
    "--stop-at-score": [1],
    "--env-timeout-seconds": [300, "none", 0],
    "--frame-skip": [2],
    "--env": ["Acrobot-v1", "Pendulum-v1", "CartPole-v9"],
    "--gama": [1],
}


@st.composite
def changes(draw):
    names = draw(st.lists(st.sampled_from(sorted(CHANGES)), unique=True, max_size=4))
    return {name: draw(st.sampled_from(CHANGES[name])) for name in names}


def outcome(tmp_path_factory, flags):
    """Returns the exit code and what was written to standard error."""
    out = tmp_path_factory.mktemp("fuzz") / "run"
    argv = [*small.flags(**BASE), "--console", "none", "--out", str(out)]
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = runs.command(
            "train", *argv, *(f"{name}={flags[name]}" for name in flags)
        )
    assert out.exists() == (code == 0)
    return code, errors.getvalue()


def test_the_edges_are_those_of_fields_that_exist():
    fields = {"--" + name.replace("_", "-") for name in FIELDS} | {"--env", "--gama"}
    assert set(CHANGES) <= fields


def check(tmp_path_factory, changes):
    code, text = outcome(tmp_path_factory, changes)
    event(f"exit code {code}")
    assert code in (0, 64, 78), text
    assert "Traceback" not in text
    if code:
        assert 1 <= len(text.splitlines()) <= 2
        assert "Received" in text or code == 64
    else:
        assert text == ""


@hypothesis_settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(changes=changes())
def test_settings_run_or_are_refused_in_a_line_or_two(tmp_path_factory, changes):
    check(tmp_path_factory, changes)


@pytest.mark.slow
@hypothesis_settings(max_examples=300, deadline=None)
@given(changes=changes())
def test_many_settings_run_or_are_refused_in_a_line_or_two(tmp_path_factory, changes):
    check(tmp_path_factory, changes)
