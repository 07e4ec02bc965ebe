"""The examples: short programs that take every setting, or refuse it by its name."""

import dataclasses
import importlib.util
import pathlib
import subprocess
import sys

import keras
import pytest

from keras_dqn import envs as keras_dqn_envs
from keras_dqn import models
from keras_dqn import presets
from keras_dqn.algorithms import backups
from keras_dqn.cli import run_arguments
from keras_dqn.cli import train as cli
from keras_dqn.config import Settings
from keras_dqn.runs import parts
from keras_dqn.runs.run import Run
from tests import runs

ROOT = pathlib.Path(__file__).parents[1]
PROGRAMS = ("breakout", "cartpole")


def program(name):
    """The function `train` of an example."""
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.train


def small(name, **changes):
    return presets.get(name)(
        **{
            "num_envs": 2,
            "vector_steps_per_iteration": 4,
            "env_steps": 64,
            "replay_capacity": 64,
            "learning_starts_env_steps": 16,
            "batch_size": 8,
            "updates_per_iteration": 2,
            "hidden_units": 8,
            "target_sync_env_steps": 16,
            "checkpoint_interval_iterations": 4,
            "evaluation_interval_iterations": None,
            "stop_at_score": None,
            **changes,
        }
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_has_at_most_40_lines(name):
    text = (ROOT / "examples" / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 40


def trained(function, settings, out):
    with Run(settings, out, console="none", evaluation=False) as run:
        function(run)
    return run


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("breakout", {}),
        ("cartpole", {"dtype_policy": "mixed_bfloat16", "n_steps": 3}),
        ("cartpole", {"double_q": False, "jit_compile": False, "huber_delta": 0.5}),
    ],
)
def test_an_example_trains_to_the_same_bits_as_the_command(name, changes, tmp_path):
    settings = small(name, **changes)
    states = [
        trained(function, settings, tmp_path / where).agent.learner.state_dict()
        for where, function in (("a", program(name)), ("b", parts.train))
    ]
    assert states[0].keys() == states[1].keys()
    for key in states[0]:
        assert (states[0][key] == states[1][key]).all(), key


# Every setting of the parts, with a value that is not the preset's.
OF_THE_PARTS = {
    "alpha": 0.5,
    "priority_epsilon": 1e-3,
    "replay_capacity": 128,
    "n_steps": 2,
    "gamma": 0.5,
    "hidden_units": 4,
    "learning_rate": 0.5,
    "adam_epsilon": 1e-3,
    "clipnorm": 0.5,
    "huber_delta": 0.5,
    "double_q": False,
    "dtype_policy": "mixed_bfloat16",
    "jit_compile": False,
    "num_envs": 4,
    "seed": 3,
}
OF_ATARI = {
    "env_id": "Pong",
    "repeat_action_probability": 0.5,
    "life_loss": "terminal",
    "noop_max": 3,
    "clip_rewards": True,
    "frame_skip": 2,
    "max_episode_frames": 1000,
    "full_action_space": True,
    "fire_reset": False,
}


def facts(agent, envs):
    """What the settings of the parts have become."""
    learner = agent.learner
    optimizer = learner.optimizer.get_config()
    return {
        "alpha": agent.replay.alpha,
        "priority_epsilon": agent.replay.priority_epsilon,
        "replay_capacity": agent.replay.capacity,
        "n_steps": agent.replay.n_steps,
        "gamma": agent.replay.gamma,
        "hidden_units": agent.network.get_layer("value_hidden").units,
        "learning_rate": optimizer["learning_rate"],
        "adam_epsilon": optimizer["epsilon"],
        "clipnorm": optimizer["clipnorm"],
        "huber_delta": learner.model.distribution.huber_delta,
        "double_q": isinstance(learner.model.backup, backups.Double),
        "dtype_policy": agent.network.get_layer("value_hidden").dtype_policy.name,
        "jit_compile": learner.jit_compile,
        "num_envs": envs.num_envs,
        **envs.options,
        "seed": agent.network.get_weights()[0].tobytes(),
        "env_id": envs.env_id,
    }


def made(function, settings, out, monkeypatch):
    """The facts of the parts that the program makes; nothing is trained."""

    class Made(Exception):
        pass

    def training(run, agent, envs):
        agent.build(envs)
        found.update(facts(agent, envs))
        envs.close()
        raise Made

    found = {}
    with monkeypatch.context() as patch:
        patch.setattr(Run, "training", training)
        with pytest.raises(Made):
            trained(function, settings, out)
    return found


@pytest.mark.parametrize(
    ("name", "changes"),
    [("cartpole", OF_THE_PARTS), ("breakout", OF_THE_PARTS | OF_ATARI)],
)
def test_an_example_takes_every_setting_of_its_parts(
    name, changes, tmp_path, monkeypatch
):
    function = program(name)
    usual = made(function, small(name), tmp_path / "a", monkeypatch)
    changed = made(function, small(name, **changes), tmp_path / "b", monkeypatch)
    for setting, value in changes.items():
        assert changed[setting] != usual[setting], setting
        if setting not in ("seed", "env_id"):
            assert changed[setting] == pytest.approx(value), setting


# What the parts may be replaced by: each set is one choice.
FAMILY = (
    {
        "distribution": "categorical",
        "atoms": 7,
        "value_low": -1.0,
        "value_high": 2.0,
        "priority": "kl",
    },
    {"distribution": "quantiles", "quantiles": 9, "clip_scope": "global"},
    {
        "munchausen": True,
        "munchausen_alpha": 0.5,
        "munchausen_tau": 0.1,
        "munchausen_clip": -2.0,
    },
    {"dueling": False, "body": "mlp", "body_width": 2},
)


@pytest.mark.parametrize("changes", FAMILY)
def test_an_example_takes_every_member_of_the_family(changes, tmp_path, monkeypatch):
    checked = []

    def training(run, agent, envs):
        used = agent.used_settings(run.settings, envs)
        assert {name: used.get(name, changes[name]) for name in changes} == changes
        agent.build(envs)
        envs.close()
        checked.append(agent)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "training", training)
        with pytest.raises(KeyboardInterrupt):
            settings = small("cartpole", **changes)
            trained(program("cartpole"), settings, tmp_path / "run")
    (agent,) = checked
    # A network that the settings do not describe is found.
    agent._network = models.dueling_mlp(2, (4,), (3,))
    with keras_dqn_envs.make_envs("CartPole-v1") as envs:
        used = agent.used_settings(small("cartpole", **changes), envs)
    names = {"dueling", "body", "body_width"} & set(changes)
    assert all(used[name] == "another network" for name in names)


# Those that `fit` and `Run` take from the settings: no program can leave them out.
OF_THE_RUN = """
    env_steps vector_steps_per_iteration batch_size updates_per_iteration
    updates_per_dispatch replay_device learning_starts_env_steps target_sync_env_steps
    epsilon_endpoints epsilon_final beta_endpoints beta_final log_interval_iterations
    checkpoint_interval_iterations checkpoint_interval_minutes
    histogram_interval_iterations evaluation_episodes evaluation_epsilon
    evaluation_interval_iterations evaluation_interval_minutes
    stop_at_score env_timeout_seconds
"""


def test_every_setting_is_taken_by_the_examples_or_by_the_run_but_for_one():
    fields = {field.name for field in dataclasses.fields(Settings)}
    others = fields - set(OF_THE_PARTS) - set(OF_ATARI) - set(OF_THE_RUN.split())
    others -= {name for changes in FAMILY for name in changes}
    assert others == {"replay_kind"}  # which the examples refuse


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("breakout", "--replay-kind uniform", "`replay_kind` cannot be changed"),
        ("cartpole", "--replay-kind uniform", "`replay_kind` cannot be changed"),
        ("breakout", "--env CartPole-v1 --body nature", "`input_shape` must"),
        ("cartpole", "--frame-skip 2", "`frame_skip` is an option of Atari games"),
    ],
)
def test_what_an_example_cannot_do_is_refused_and_nothing_is_written(
    name, flags, words, tmp_path, capsys
):
    argv = [*flags.split(), "--out", str(tmp_path / "run")]
    assert cli.main(program(name), name, argv) == 78
    text = capsys.readouterr().err
    assert words in text and "Traceback" not in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [["-m", "keras_dqn"], ["-m", "keras_dqn.cli"], ["examples/cartpole.py"]]
)
def test_help_and_refusals_do_not_wait_for_keras(words):
    code = "import runpy, sys; sys.modules['keras'] = None; del sys.argv[0]; "
    if words[0] == "-m":
        code += f"sys.argv.insert(0, ''); runpy.run_module({words[1]!r}, "
    else:
        code += f"sys.argv.insert(0, ''); runpy.run_path({words[0]!r}, "
    code += "run_name='__main__')"
    command = [] if words[-1].startswith("examples") else ["train"]
    for flags, status in (["--help"], 0), (["--gama", "1"], 64), (["--gamma", "2"], 78):
        child = subprocess.run(
            [sys.executable, "-c", code, *command, *flags],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert child.returncode == status, child.stderr


def test_a_smoke_run_of_every_preset_is_a_run(tmp_path):
    for name, changes in run_arguments.SMOKE.items():
        assert presets.get(name)(**changes).iterations < 100
    assert run_arguments.SMOKE.keys() == set(presets.names())


def test_a_command_is_named_and_every_command_has_help(capsys):
    assert runs.command() == 0
    assert runs.command("trian") == 64
    assert "train" in capsys.readouterr().err
    assert runs.command("--help") == 0
    text = capsys.readouterr().out
    assert "verify-resume" in text and "train" in text


def test_a_saved_network_of_an_example_opens_with_keras_alone(tmp_path):
    run = trained(program("cartpole"), small("cartpole"), tmp_path / "run")
    opened = keras.models.load_model(run.directory.network)
    assert opened.output_shape == (None, 2)
