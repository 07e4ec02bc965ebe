"""`keras-dqn evaluate`: protocols, several networks, tables."""

import csv
import io
import json

import pytest

import keras_dqn
from tests import runs

WORDS = ("--pretrained", "breakout", "--episodes", "2")


def evaluate(*words):
    return runs.command("evaluate", *words)


@pytest.fixture
def networks(tmp_path):
    """Two run directories of CartPole: weights and settings."""
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        network = keras_dqn.models.dueling_mlp(2, (4,), (8,), seed=seed)
        network.save(tmp_path / name / "network.keras")
        settings = keras_dqn.presets.cartpole().to_dict()
        (tmp_path / name / "settings.json").write_text(json.dumps(settings))
    return tmp_path / "a", tmp_path / "b"


def test_a_protocol_decides_the_rules_and_the_table_has_a_line_for_each_game(
    tmp_path, capsys
):
    table = tmp_path / "games.csv"
    words = ("--protocol", "reference", "--csv", table)
    assert evaluate(*WORDS, *words) == 0
    text = capsys.readouterr().out
    assert "epsilon 0.01" in text and "IQM" in text
    assert "human" not in text  # published scores are of whole games
    rows = list(csv.DictReader(table.open()))
    assert [row["game"] for row in rows] == ["0", "1"]
    for row in rows:
        assert row["network"] == "breakout" and row["env"] == "ALE/Breakout"
        assert row["protocol"] == "reference" and row["epsilon"] == "0.01"
        assert int(row["frames"]) == 4 * int(row["agent_steps"]) > 0
    mean = sum(float(row["score"]) for row in rows) / 2
    assert f"mean score {mean:.2f} over 2 episodes" in text
    assert evaluate(*WORDS, *words) == 74
    assert "--force" in capsys.readouterr().err
    assert evaluate(*WORDS, *words, "--force", "--epsilon", 1, "--num-envs", 1) == 0
    assert "epsilon 1\n" in capsys.readouterr().out


def test_several_networks_are_compared_in_a_table(networks, capsys):
    assert evaluate(*networks, "--episodes", 6, "--epsilon", 0.0) == 0
    text = capsys.readouterr().out
    head, *rows = [line for line in text.splitlines() if "(" in line or "IQM" in line]
    assert head.split()[:4] == ["network", "mean", "median", "IQM"]
    assert len(rows) == 2 and rows[0].rstrip().endswith("-")
    a, b = (keras_dqn.load_network(path / "network.keras") for path in networks)
    means = [
        keras_dqn.DQNAgent(network).evaluate("CartPole-v1", 6, epsilon=0.0).mean
        for network in (a, b)
    ]
    for row, mean in zip(rows, means, strict=True):
        assert f" {mean:.2f} (" in row


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--protocol", "natur"], 78, "Did you mean `nature`"),
        (["--csv", "nowhere/a.csv"], 74, "No such directory"),
        (["--num-envs", "0"], 78, "num_envs"),
        (["--episodes", "-2"], 78, "episodes"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_a_line(words, code, message, capsys):
    assert evaluate(*WORDS, *words) == code
    text = capsys.readouterr().err
    assert message in text and len(text.strip().splitlines()) == 1


def test_names_are_shown_as_they_are_whatever_the_encoding(
    networks, tmp_path, monkeypatch
):
    odd = tmp_path / "[seed=1]"
    networks[0].rename(odd)
    output = io.BytesIO()
    with io.TextIOWrapper(output, encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert evaluate(odd, networks[1], "--episodes", 1) == 0
        stream.flush()
        text = output.getvalue().decode("ascii")
    assert "[seed=1]" in text and "---" in text


def test_networks_of_different_rules_are_warned_of(networks, capsys):
    pretrained = keras_dqn.pretrained.load("breakout")
    for name, sticky in zip(networks, (0.0, 0.25), strict=True):
        pretrained.save(name / "network.keras")
        settings = keras_dqn.presets.atari(
            repeat_action_probability=sticky, max_episode_frames=40
        )
        (name / "settings.json").write_text(json.dumps(settings.to_dict()))
    assert evaluate(*networks, "--episodes", 1) == 0
    assert "different rules" in capsys.readouterr().err


def test_a_protocol_of_atari_is_refused_elsewhere(networks, capsys):
    assert evaluate(networks[0], "--protocol", "ale") == 78
    assert "`--protocol` ale is for Atari games" in capsys.readouterr().err
