"""Ids of games, options, and what is said about wrong ones."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ale_py import roms

from keras_dqn.envs import make_envs
from keras_dqn.envs.base import game_seeds
from keras_dqn.envs.names import parse_atari_name
from keras_dqn.system.cpus import usable_cpus

pytestmark = pytest.mark.numpy

ROMS = roms.get_all_rom_ids()


@pytest.mark.parametrize(
    ("name", "canonical", "sticky"),
    [
        ("Breakout", "ALE/Breakout", 0.0),
        ("breakout", "ALE/Breakout", 0.0),
        ("ALE/Breakout", "ALE/Breakout", 0.0),
        ("ALE/Breakout-v5", "ALE/Breakout", 0.25),
        ("Breakout-v0", "ALE/Breakout", 0.25),
        ("Breakout-v4", "ALE/Breakout", 0.0),
        ("BreakoutNoFrameskip-v4", "ALE/Breakout", 0.0),
        ("BreakoutNoFrameskip-v0", "ALE/Breakout", 0.25),
        ("MsPacman", "ALE/MsPacman", 0.0),
        ("ms_pacman", "ALE/MsPacman", 0.0),
        ("MsPacmanNoFrameskip-v4", "ALE/MsPacman", 0.0),
        ("TicTacToe3D", "ALE/TicTacToe3D", 0.0),
    ],
)
def test_every_usual_id_finds_its_game_and_its_stickiness(name, canonical, sticky):
    parsed = parse_atari_name(name, ROMS)
    assert (parsed.canonical, parsed.repeat_action_probability) == (canonical, sticky)


@pytest.mark.parametrize("rom", ROMS)
def test_each_game_is_found_by_its_rom_and_by_its_title(rom):
    title = rom.title().replace("_", "")
    if rom in {"combat", "joust", "maze_craze", "warlords"}:
        with pytest.raises(ValueError, match="needs two players"):
            parse_atari_name(rom, ROMS)
        return
    for name in (rom, title, f"ALE/{title}-v5", f"{title}NoFrameskip-v4"):
        assert parse_atari_name(name, ROMS).rom == rom


@pytest.mark.parametrize(
    ("name", "reason", "instead"),
    [
        ("Breakout-ram-v4", "memory", "'BreakoutNoFrameskip-v4'"),
        ("Breakout-ramNoFrameskip-v4", "memory", "'BreakoutNoFrameskip-v4'"),
        ("BreakoutDeterministic-v4", "maximum", "'BreakoutNoFrameskip-v4'"),
        ("Breakout-v3", "does not exist", "'ALE/Breakout-v5'"),
        ("ALE/Breakout-v4", "does not exist", "'ALE/Breakout-v5'"),
        ("BreakoutNoFrameskip-v5", "does not exist", "'ALE/Breakout-v5'"),
    ],
)
def test_an_unsupported_id_is_refused_with_a_supported_one(name, reason, instead):
    with pytest.raises(ValueError, match=f"{reason}.*Use {instead}.*env='{name}'"):
        make_envs(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Brekout", "`Breakout`"),
        ("ALE/Brekout-v5", "`Breakout`"),
        ("CartPole", "`CartPole-v1`"),
        ("cartpole-v1", "`CartPole-v1`"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, near):
    with pytest.raises(ValueError, match=f"Did you mean .*{near}.*env='{name}'"):
        make_envs(name)


@pytest.mark.parametrize("name", ["", "-v5", "a/b", "no such game?", "../breakout"])
def test_nonsense_is_refused(name):
    with pytest.raises(ValueError, match="must be an Atari game or a registered"):
        make_envs(name)


def test_a_missing_rom_is_refused_before_the_emulator_sees_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", None)
    with pytest.raises(ValueError, match="ROM is installed and intact.*breakout"):
        make_envs("Breakout")
    (tmp_path / "breakout.bin").write_bytes(b"not a game")
    with pytest.raises(ValueError, match="ROM is installed and intact.*hash"):
        make_envs("Breakout")


def test_the_id_decides_the_stickiness_unless_it_is_given():
    with make_envs("ALE/Breakout-v5") as envs:
        assert envs.options["repeat_action_probability"] == 0.25
    with make_envs("ALE/Breakout-v5", repeat_action_probability=0) as envs:
        assert envs.options["repeat_action_probability"] == 0.0
        json.dumps(envs.options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("life_loss", "terminl"),
        ("life_loss", None),
        ("repeat_action_probability", 1.5),
        ("repeat_action_probability", float("nan")),
        ("repeat_action_probability", "0.25"),
        ("noop_max", -1),
        ("noop_max", 1.5),
        ("clip_rewards", 1),
        ("frame_skip", 0),
        ("frame_skip", True),
        ("max_episode_frames", 0),
        ("max_episode_frames", 2**31),
        ("full_action_space", "yes"),
        ("fire_reset", 0),
        ("num_threads", -1),
        ("num_envs", 0),
        ("num_envs", 2.0),
        ("seed", -1),
        ("seed", 0.5),
    ],
)
def test_a_wrong_option_is_refused_by_name_rule_and_value(option, value):
    received = re.escape(f"Received: {option}={value!r}")
    with pytest.raises(ValueError, match=f"`{option}` must be .*{received}"):
        make_envs("Breakout", **{option: value})


def test_the_nearest_choice_is_suggested():
    with pytest.raises(ValueError, match="Did you mean `terminal`"):
        make_envs("Breakout", life_loss="terminl")


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(TypeError, match="`life_los`.*Did you mean `life_loss`.*=1"):
        make_envs("Breakout", life_los=1)
    with pytest.raises(TypeError, match="`env_kwarg`.*Did you mean `env_kwargs`"):
        make_envs("CartPole-v1", env_kwarg={})


def test_an_option_of_the_other_kind_is_refused():
    with pytest.raises(ValueError, match="`env_kwargs` is .*Gymnasium .* only"):
        make_envs("Breakout", env_kwargs={})
    with pytest.raises(ValueError, match="`life_loss` is an option of Atari games"):
        make_envs("CartPole-v1", life_loss="reset")


def test_ale_and_keras_stay_out_unless_an_atari_game_is_made():
    program = (
        "import sys, keras_dqn.envs as e; e.make_envs('CartPole-v1').close();"
        "sys.exit(any(m in sys.modules for m in ('ale_py', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_seeds_of_games_are_valid_distinct_and_disjoint_between_runs():
    seeds = [game_seeds(run, 64) for run in range(10)]
    everything = np.concatenate(seeds)
    assert len(set(everything.tolist())) == 640
    assert everything.min() >= 0
    assert everything.max() < 2**31
    np.testing.assert_array_equal(game_seeds(3, 8), seeds[3][:8])
    np.testing.assert_array_equal(game_seeds(np.int32(3), 64), seeds[3])
    assert not np.array_equal(game_seeds(None, 8), game_seeds(None, 8))


def test_threads_follow_affinity_and_quota(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    path = tmp_path / "cpu.max"
    assert usable_cpus(tmp_path) == 8  # no such file
    for text, cpus in [
        ("max 100000\n", 8),
        ("300000 100000\n", 3),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("nonsense", 8),
    ]:
        path.write_text(text)
        assert usable_cpus(tmp_path) == cpus, text


def test_threads_follow_the_quota_of_an_old_cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu").mkdir()
    quota = tmp_path / "cpu" / "cpu.cfs_quota_us"
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for text, cpus in [("-1\n", 8), ("400000\n", 4)]:
        quota.write_text(text)
        assert usable_cpus(tmp_path) == cpus


def test_there_are_no_more_threads_than_games():
    with make_envs("Breakout", num_envs=1, num_threads=16) as envs:
        assert envs.options["num_threads"] == 1
