"""One small run, for every test that needs a run: its settings, flags and games.

12 iterations of 4 agent steps on `CountingEnv` or another toy; training begins in
the fourth. A test names what it needs otherwise.
"""

import contextlib

import gymnasium

from keras_dqn import checkpoint
from keras_dqn import presets
from tests import runs

ENV_ID = "Small-v0"
SETTINGS = {
    "env_id": ENV_ID,
    "num_envs": 2,
    "env_steps": 48,
    "vector_steps_per_iteration": 2,
    "updates_per_iteration": 1,
    "replay_capacity": 32,
    "learning_starts_env_steps": 16,
    "batch_size": 4,
    "hidden_units": 4,
    "target_sync_env_steps": 8,
    "checkpoint_interval_iterations": 3,
    "evaluation_interval_iterations": None,
    "evaluation_episodes": 2,
    "evaluation_epsilon": 1.0,
    "stop_at_score": None,
}


def settings(**changes):
    return presets.cartpole(**{**SETTINGS, **changes})


def flags(**changes):
    """The same as flags of the command."""
    words = ["--preset", "cartpole"]
    for name, value in {**SETTINGS, **changes}.items():
        flag = "env" if name == "env_id" else name.replace("_", "-")
        words += [f"--{flag}", "none" if value is None else str(value)]
    return words


def run(out, *more):
    """Runs the command in this process, without a console. Returns its exit code."""
    words = ["train", *flags(), "--console", "none", "--out", out]
    return runs.command(*words, *more)


@contextlib.contextmanager
def registered(make):
    """Makes environments of the small run with `make`."""
    gymnasium.register(ENV_ID, entry_point=make)
    try:
        yield
    finally:
        del gymnasium.registry[ENV_ID]


def newest(out):
    """The agent steps of the newest checkpoint, which was loaded without a note."""
    path, _, _, notes = checkpoint.load(out / "checkpoints")
    assert not notes
    return int(path.name.removeprefix("checkpoint-"))
