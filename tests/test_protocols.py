"""Protocols fix the rules of an evaluation; human-normalized scores."""

import pytest

from keras_dqn import protocols
from keras_dqn.envs import make_evaluation_envs

pytestmark = pytest.mark.numpy


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_a_protocol_overrides_the_training_and_leaves_the_rest(name):
    protocol = protocols.get(name)
    training = {
        "repeat_action_probability": 0.5,
        "noop_max": 7,
        "life_loss": "terminal",
        "max_episode_frames": 400,
        "frame_skip": 3,
    }
    options = protocol.with_options(training)
    assert options["frame_skip"] == 3
    assert all(options[key] != training[key] for key in protocol.options)
    assert set(protocol.options) == set(training) - {"frame_skip"}
    with make_evaluation_envs("Breakout", 1, **options) as envs:
        assert options.items() <= envs.options.items()


def test_the_protocols_are_those_that_they_are_named_after():
    nature, ale = protocols.get("nature"), protocols.get("ale")
    assert nature.epsilon == 0.05 and nature.options["noop_max"] == 31  # 0 to 30
    assert nature.options["repeat_action_probability"] == 0.0
    assert nature.options["max_episode_frames"] == 5 * 60 * 60  # five minutes
    assert ale.options["repeat_action_probability"] == 0.25
    assert ale.options["noop_max"] == 0
    assert protocols.get("reference").options["life_loss"] == "reset"


def test_an_unknown_protocol_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="must be one of 'nature'.*Did you mean"):
        protocols.get("natur")


@pytest.mark.parametrize(
    ("env_id", "score", "expected"),
    [
        ("ALE/Breakout", 1.7, 0.0),
        ("ALE/Breakout", 30.5, 1.0),
        ("ALE/Breakout", 16.1, 0.5),
        ("ALE/MsPacman", 6951.6, 1.0),
        ("ALE/Pong", -20.7, 0.0),
        ("ALE/Skiing", -4336.9, 1.0),
        ("ALE/AirRaid", 1.0, None),  # no human played it
        ("CartPole-v1", 500.0, None),
    ],
)
def test_scores_are_normalized_by_a_random_and_a_human_player(env_id, score, expected):
    found = protocols.human_normalized(env_id, score)
    assert found == (None if expected is None else pytest.approx(expected))
