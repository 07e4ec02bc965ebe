"""What differs from a preset, and the command line that gives the same settings."""

import shlex

import pytest

from keras_dqn import presets
from keras_dqn.cli import options
from keras_dqn.cli.command_line import train_command
from keras_dqn.report.differences import changes_from
from keras_dqn.report.differences import nearest_preset

pytestmark = pytest.mark.numpy

SETTINGS = {
    "breakout": presets.breakout(),
    "short": presets.breakout(env_steps=1_000_000),
    "atari": presets.atari(env_id="Pong", seed=3),
    "flags": presets.atari(double_q=False, clip_rewards=False, fire_reset=False),
    "none": presets.cartpole(stop_at_score=None, clipnorm=None, beta_endpoints=()),
    "numbers": presets.cartpole(learning_rate=1.25e-5, stop_at_score=-21.5, gamma=0),
    "choices": presets.breakout(jit_compile=True, dtype_policy="mixed_bfloat16"),
    "schedule": presets.atari(
        env_steps=5_000_000, epsilon_endpoints=((0, 1.0), (777_777, 0.3333333333))
    ),
    "far": presets.cartpole(env_id="Acrobot-v1", env_steps=60_000, batch_size=32),
    "tiny": presets.breakout(
        env_steps=24, num_envs=2, replay_capacity=16, batch_size=2, n_steps=2
    ),
    "text": presets.breakout(env_id="-it's odd"),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("preset", presets.names())
def test_the_command_line_gives_the_settings_again(name, preset):
    settings = SETTINGS[name]
    command = train_command(preset, changes_from(settings, preset))
    words = shlex.split(command)
    assert words[:4] == ["keras-dqn", "train", "--preset", preset]
    parser = options.Parser(prog="test", add_help=False)
    options.add_settings(parser)
    namespace = parser.parse_args(words[4:])
    assert options.settings_of(parser, namespace, preset) == settings


def test_only_what_differs_is_a_flag():
    command = train_command(*nearest_preset(presets.atari(env_steps=1_000_000, seed=1)))
    assert command == "keras-dqn train --preset atari --env-steps 1000000 --seed 1"
    assert train_command(*nearest_preset(presets.breakout()), "jax") == (
        "KERAS_BACKEND=jax keras-dqn train --preset breakout"
    )


def test_the_nearest_preset_is_the_one_with_the_fewest_changes():
    assert nearest_preset(SETTINGS["atari"]) == ("atari", {"env_id": "Pong", "seed": 3})
    assert nearest_preset(SETTINGS["short"]) == ("breakout", {"env_steps": 1_000_000})
    assert nearest_preset(SETTINGS["far"])[0] == "cartpole"
