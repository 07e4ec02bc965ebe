"""Networks that come with the package play as their cards say, on every backend."""

import json

import keras
import pytest

import keras_dqn
from keras_dqn import pretrained
from tests import runs


def evaluate(*words):
    return runs.command("evaluate", *words)


@pytest.mark.parametrize("name", pretrained.names())
def test_a_network_is_small_and_has_a_card_with_its_protocol_and_interval(name):
    assert pretrained.path(name).stat().st_size < 8_000_000
    card = pretrained.card(name)
    for word in (
        "trained by",
        "--seed",
        "95 % interval",
        "epsilon 0.05",
        "random player",
    ):
        assert word in card
    network = pretrained.load(name)
    assert isinstance(network, keras.Model)
    assert network.output_shape == (None, 4)


def test_an_unknown_network_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="must be one of 'breakout'.*Did you mean"):
        keras_dqn.pretrained.load("breakot")


def test_the_breakout_network_plays_far_better_than_a_random_player(capsys):
    words = ["--pretrained", "breakout", "--episodes", 2, "--epsilon", 0.05]
    assert evaluate(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [each for each in lines if each.startswith("ALE/Breakout: mean score ")]
    assert float(line.split()[3]) > 14  # 14 was the worst of 100; random: 1.7


def test_a_network_of_a_run_is_played_in_its_environment(tmp_path, capsys):
    network = keras_dqn.models.dueling_mlp(2, (4,), (8,), seed=0)
    network.save(tmp_path / "network.keras")
    assert evaluate(tmp_path, "--episodes", 1) == 78
    assert "`--env` must say what" in capsys.readouterr().err
    (tmp_path / "settings.json").write_text('{"env_id": "CartPole-v1"}')
    for path in (tmp_path, tmp_path / "network.keras"):
        assert evaluate(path, "--episodes", 2, "--seed", 3) == 0
        assert "CartPole-v1: mean score" in capsys.readouterr().out


def test_a_network_of_a_run_is_played_by_the_rules_of_its_training(tmp_path, capsys):
    keras_dqn.pretrained.load("breakout").save(tmp_path / "network.keras")
    settings = keras_dqn.presets.atari(env_id="Breakout", max_episode_frames=400)
    (tmp_path / "settings.json").write_text(json.dumps(settings.to_dict()))
    for words in ((), ("--env", "ALE/Breakout")):  # another name of the same game
        assert evaluate(tmp_path, "--episodes", 2, *words) == 0
        assert "200 agent steps, 800 frames" in capsys.readouterr().out
    (tmp_path / "settings.json").write_text('{"unknown": 1}')
    assert evaluate(tmp_path, "--episodes", 1) == 78
    words = ("--env", "Breakout", "--episodes", 1, "--protocol", "reference")
    assert evaluate(tmp_path, *words) == 0


def test_a_network_that_has_diverged_ends_the_evaluation_in_one_line(tmp_path, capsys):
    network = keras_dqn.models.dueling_mlp(2, (4,), (8,), seed=0)
    network.set_weights([w * float("nan") for w in network.get_weights()])
    network.save(tmp_path / "network.keras")
    assert evaluate(tmp_path / "network.keras", "--env", "CartPole-v1") == 70
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "NaN" in line


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 64, "required"),
        (["none.keras"], 78, "none.keras"),
        (["--pretrained", "pong"], 78, "'breakout'"),
        (["--pretrained", "breakout", "--env", "CartPole-v1"], 78, "(4,)"),
        (["--pretrained", "breakout", "--env", "Breakot"], 78, "Breakout"),
        (["--pretrained", "breakout", "--episodes", "0"], 78, "episodes"),
        (["--pretrained", "breakout", "--epsilon", "2"], 78, "epsilon"),
        (["--pretrained", "breakout", "--seed", "-1"], 78, "seed"),
        (["--pretrained", "breakout", "--episode=3"], 64, "--episodes"),
        (["a.keras", "--pretrained", "breakout"], 64, "not allowed"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_line_or_two(
    words, code, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert evaluate(*words) == code
    text = capsys.readouterr().err
    assert message in text and "Traceback" not in text
    assert len(text.strip().splitlines()) <= 2
