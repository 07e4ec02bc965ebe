"""The command as a person types it: messages, exit codes, files."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import pytest

from keras_dqn.system.exit_codes import MEANINGS
from tests import runs

ROOT = pathlib.Path(__file__).parents[1]
SMALL = (
    "--env-steps 256 --replay-capacity 128 --hidden-units 16 --batch-size 4 "
    "--evaluation-episodes 1 --evaluation-epsilon 1"
).split()


def command(*flags):
    return runs.command("train", *flags)


def example(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_smoke_run_of_breakout_trains_evaluates_and_leaves_its_files(
    tmp_path, capsys
):
    out = tmp_path / "run"
    assert command(*SMALL, "--out", out) == 0
    text = capsys.readouterr().out
    assert "ALE/Breakout" in text
    assert f"Saved network: {out / 'network.keras'}" in text
    assert "mean score" in text
    for line in ("evaluate", "record", "resume"):
        assert f"keras-dqn {line} {out}" in text
    assert text.rstrip().endswith("--env-steps 512")
    assert keras.models.load_model(out / "network.keras").output_shape == (None, 4)
    assert json.loads((out / "settings.json").read_text())["env_steps"] == 256
    assert (out / "metrics.jsonl").stat().st_size > 0
    assert len(list((out / "checkpoints").glob("checkpoint-*"))) == 1
    assert not list(out.glob(".unfinished*"))


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--env", "Breakuot"], 78, ["Breakout", "Breakuot"]),
        (["--env", "NoSuchEnv-v0"], 78, ["NoSuchEnv"]),
        (["--env", "Pendulum-v1"], 78, ["Discrete", "action_space=Box"]),
        (["--env-steps", "-5"], 78, ["env_steps", "-5"]),
        (["--env-steps", "lots"], 78, ["env_steps", "lots"]),
        (["--replay-capacity", "8"], 78, ["replay_capacity", "8"]),
        (["--replay-capacity", "16385"], 78, ["multiple", "16385"]),
        (["--target-sync-env-steps", "0"], 78, ["target_sync_env_steps", "0"]),
        (["--gamma", "1.5"], 78, ["gamma", "1.5"]),
        (["--env", "CartPole-v1", "--frame-skip", "2"], 78, ["frame_skip", "Atari"]),
        (["--env-step", "5"], 64, ["--env-step", "--env-steps"]),
        (["--resume"], 64, ["--out"]),
    ],
)
def test_bad_input_is_refused_in_a_line_or_two_and_nothing_is_written(
    flags, code, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert command(*flags) == code
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) <= 2
    for word in words:
        assert word in text
    assert list(tmp_path.iterdir()) == []


def test_a_replay_that_does_not_fit_is_refused_before_it_is_allocated(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert command("--replay-capacity", "8G", "--learning-starts-env-steps", "64") == 78
    text = capsys.readouterr().err
    assert "GiB" in text and "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


def test_another_preset_can_be_chosen(tmp_path, capsys):
    code = command(
        *"--preset atari --env-steps 96 --replay-capacity 64 --batch-size 4".split(),
        *"--learning-starts-env-steps 64 --no-evaluation --out".split(),
        str(tmp_path / "run"),
    )
    assert code == 0
    assert "life_loss=terminal" in capsys.readouterr().out.replace("\n", " ")


def test_an_out_directory_that_holds_something_is_not_touched(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("mine")
    assert command(*SMALL, "--out", tmp_path) == 74
    assert "new or empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    file = tmp_path / "precious.txt"
    assert command(*SMALL, "--out", file) == 74
    assert file.read_text() == "mine"


def test_a_command_that_was_killed_as_it_started_can_be_given_again(tmp_path):
    (tmp_path / "LOCK").write_text("{}")  # all that it had made
    assert command(*SMALL, "--no-evaluation", "--out", tmp_path) == 0


def test_resume_refuses_to_become_another_run_and_says_what_differs(tmp_path, capsys):
    out = tmp_path / "run"
    assert command(*SMALL, "--no-evaluation", "--out", out) == 0
    capsys.readouterr()
    assert command("--out", str(out), "--resume", "--gamma", "0.5") == 78
    assert "gamma: 0.99 -> 0.5" in capsys.readouterr().err
    assert (
        command("--out", str(out), "--resume", "--env-steps", "320", "--no-evaluation")
        == 0
    )
    assert "Loaded checkpoint" in capsys.readouterr().out
    assert json.loads((out / "settings.json").read_text())["env_steps"] == 320


def test_a_directory_that_cannot_be_looked_at_is_an_io_error(capsys):
    assert command("--out", "x" * 300) == 74
    text = capsys.readouterr().err
    assert "File name too long" in text and "Traceback" not in text


@pytest.mark.parametrize("flags", [["--smoke"], ["--preset", "atari"]])
def test_resume_takes_the_settings_of_its_run_and_no_others(tmp_path, capsys, flags):
    assert command("--resume", *flags, "--out", tmp_path) == 64
    assert f"{flags[0]} is for new runs" in capsys.readouterr().err


def test_resume_without_a_run_is_an_input_error(tmp_path, capsys):
    assert command("--resume", "--out", str(tmp_path / "none")) == 74
    assert "settings.json" in capsys.readouterr().err


def test_without_checkpoint_that_can_be_read_resume_stops_and_deletes_nothing(
    tmp_path, capsys
):
    out = tmp_path / "run"
    assert command(*SMALL, "--no-evaluation", "--out", out) == 0
    (only,) = (out / "checkpoints").glob("checkpoint-*")
    (only / "learner.bin").write_bytes(b"no")
    assert command("--resume", "--out", str(out)) == 74
    assert "learner.bin" in capsys.readouterr().err
    assert (only / "replay.bin").exists()


def test_a_reward_that_is_not_a_number_ends_the_run_with_its_place(tmp_path, capsys):
    import gymnasium

    from tests import toys

    gymnasium.register(
        "NaNReward-v0",
        entry_point=lambda: toys.ScriptedEnv(at=3, reward=float("nan")),
    )
    try:
        flags = ["--env", "NaNReward-v0", "--out", tmp_path / "run"]
        code = command("--preset", "cartpole", *flags)
    finally:
        del gymnasium.registry["NaNReward-v0"]
    text = capsys.readouterr().err
    assert code == 70
    assert "nan" in text and "step 3" in text and "Traceback" not in text


def test_a_backend_that_cannot_train_is_refused_in_one_line(tmp_path):
    child = example(
        "examples/breakout.py",
        "--smoke",
        "--out",
        str(tmp_path / "run"),
        KERAS_BACKEND="numpy",
    )
    _, text = child.communicate(timeout=300)
    assert child.returncode == 78
    assert "KERAS_BACKEND" in text and "Traceback" not in text
    assert not (tmp_path / "run").exists()


def test_a_backend_chosen_after_keras_was_imported_is_refused(
    tmp_path, capsys, monkeypatch
):
    others = {"tensorflow", "jax", "torch"} - {keras.config.backend()}
    monkeypatch.setenv("KERAS_BACKEND", min(others))
    assert command(*SMALL, "--out", tmp_path / "run") == 78
    assert "set before Keras is imported" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_control_c_saves_says_where_and_exits_with_75(tmp_path):
    out = tmp_path / "run"
    child = example(
        "examples/cartpole.py",
        "--out",
        str(out),
        "--console",
        "plain",
        "--log-interval-iterations",
        "1",
    )
    for line in child.stdout:
        if "epsilon=" in line:
            break
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=300)
    assert child.returncode == 75, errors
    assert f"Stopped. Saved network: {out / 'network.keras'}" in rest
    resume = rest.strip().splitlines()[-1]
    assert resume.endswith(f"python examples/cartpole.py --resume --out {out}")
    assert keras.models.load_model(out / "network.keras").output_shape == (None, 2)


def test_a_solved_run_says_so_and_how_to_go_on(tmp_path, capsys):
    out = tmp_path / "run"
    flags = "--preset cartpole --env-steps 2048 --evaluation-interval-iterations 5"
    easy = "--stop-at-score 1 --evaluation-episodes 1"
    assert command(*flags.split(), *easy.split(), "--out", out) == 0
    text = capsys.readouterr().out
    assert f"Solved. Saved network: {out / 'network.keras'}" in text
    assert text.rstrip().endswith(f"resume {out} --stop-at-score none")


def test_help_lists_every_number_with_its_default():
    child = example("examples/breakout.py", "--help")
    text, _ = child.communicate(timeout=300)
    assert child.returncode == 0
    for flag in ("--env-steps", "--replay-capacity", "--life-loss", "--smoke", "--out"):
        assert flag in text
    assert "40" in text and "16" in text
    for code, meaning in MEANINGS.items():
        assert f"{code}  {meaning}" in text
