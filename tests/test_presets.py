"""Presets: `breakout` is the reference implementation, number by number."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn import presets
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError

pytestmark = pytest.mark.numpy


def test_breakout_is_the_reference_number_by_number():
    assert presets.breakout().to_dict() == {
        "env_id": "Breakout",
        "num_envs": 8,
        "repeat_action_probability": None,
        "life_loss": "reset",
        "noop_max": 30,
        "clip_rewards": False,
        "frame_skip": 4,
        "max_episode_frames": 108_000,
        "full_action_space": False,
        "fire_reset": True,
        "replay_kind": "prioritized",
        "replay_capacity": 16_384,
        "alpha": 0.6,
        "priority_epsilon": 0.000001,
        "replay_device": "host",
        "n_steps": 1,
        "gamma": 0.99,
        "hidden_units": 256,
        "learning_rate": 0.0001,
        "adam_epsilon": 0.00000001,
        "clipnorm": 10.0,
        "huber_delta": 1.0,
        "double_q": True,
        "dtype_policy": "float32",
        "jit_compile": "auto",
        "env_steps": 40_000_000,
        "vector_steps_per_iteration": 4,
        "batch_size": 32,
        "updates_per_iteration": 8,
        "updates_per_dispatch": 1,
        "learning_starts_env_steps": None,
        "target_sync_env_steps": 10_000,
        "epsilon_endpoints": [[0, 1.0], [1_000_000, 0.1], [20_000_000, 0.01]],
        "epsilon_outside": 0.01,
        "beta_endpoints": [[0, 0.4], [40_000_000, 1.0]],
        "beta_outside": 1.0,
        "seed": 7,
        "log_interval_iterations": 10,
        "checkpoint_interval_iterations": 100_000,
        "histogram_interval_iterations": 10,
        "evaluation_episodes": 30,
        "evaluation_epsilon": 0.05,
        "evaluation_interval_iterations": None,
        "stop_at_score": None,
        "env_timeout_seconds": 300.0,
    }


def test_breakout_derives_the_numbers_of_the_reference():
    settings = presets.breakout()
    assert settings.env_steps_per_iteration == 32
    assert settings.iterations == 1_250_000
    assert settings.target_sync_interval_iterations == 312
    assert settings.learning_starts == 16_384


def test_the_defaults_of_settings_are_breakout():
    assert presets.breakout() == Settings()


@pytest.mark.parametrize(
    "env_steps, epsilon_endpoints",
    [
        (40_000_000, ((0, 1.0), (1_000_000, 0.1), (20_000_000, 0.01))),
        (4_000_000, ((0, 1.0), (1_000_000, 0.1), (2_000_000, 0.01))),
        (1_000_000, ((0, 1.0), (250_000, 0.1), (500_000, 0.01))),
        (20_000, ((0, 1.0), (5_000, 0.1), (10_000, 0.01))),
    ],
)
def test_breakout_schedules_follow_the_length_of_the_run(env_steps, epsilon_endpoints):
    settings = presets.breakout(env_steps=env_steps)
    assert settings.epsilon_endpoints == epsilon_endpoints
    assert settings.beta_endpoints == ((0, 0.4), (env_steps, 1.0))


def test_schedules_that_are_given_do_not_follow_the_length_of_the_run():
    epsilon, beta = ((0, 0.5), (10, 0.2)), ((0, 0.1), (20, 0.3))
    settings = presets.breakout(
        env_steps=20_000, epsilon_endpoints=epsilon, beta_endpoints=beta
    )
    assert settings.epsilon_endpoints == epsilon
    assert settings.beta_endpoints == beta


@pytest.mark.parametrize("name", presets.names())
@hypothesis_settings(deadline=None)
@given(env_steps=st.integers(1, 10**12))
def test_the_schedules_are_valid_for_any_run_length(name, env_steps):
    settings = presets.get(name)(
        env_steps=env_steps,
        num_envs=1,
        vector_steps_per_iteration=1,
        batch_size=1,
        learning_starts_env_steps=1,
    )
    assert settings.epsilon_schedule(0) == 1.0
    assert settings.beta_schedule(0) == 0.4
    if env_steps >= 4:
        assert settings.epsilon_schedule(env_steps) == settings.epsilon_outside
        assert settings.beta_schedule(env_steps) == 1.0


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_takes_a_change_of_any_field(name):
    preset = presets.get(name)
    for field in FIELDS:
        value = getattr(preset(), field)
        assert preset(**{field: value}) == preset()
    assert preset(seed=8, gamma=0.5) == preset().replace(seed=8, gamma=0.5)


@pytest.mark.parametrize("name", presets.names())
def test_a_change_that_no_run_can_use_is_refused(name):
    preset = presets.get(name)
    with pytest.raises(SettingsError, match="Did you mean `gamma`"):
        preset(gama=0.5)
    for env_steps in (None, "1000", 0, 1.5, True):
        with pytest.raises(SettingsError, match="`env_steps` must be an integer"):
            preset(env_steps=env_steps)
    with pytest.raises(SettingsError, match="This run would never train"):
        preset(env_steps=900, learning_starts_env_steps=1_000)


def test_atari_is_the_reference_with_the_usual_rules_of_the_game():
    settings, seed = presets.atari(env_steps=500_000), presets.breakout()
    assert settings.epsilon_endpoints == ((0, 1.0), (80_000, 0.1), (250_000, 0.02))
    assert settings.target_sync_interval_iterations == 31
    assert settings.learning_starts == 16_000
    changed = {
        name for name in FIELDS if getattr(settings, name) != getattr(seed, name)
    }
    assert changed == {
        "life_loss",
        "clip_rewards",
        "replay_capacity",
        "learning_starts_env_steps",
        "target_sync_env_steps",
        "env_steps",
        "epsilon_endpoints",
        "epsilon_outside",
        "beta_endpoints",
        "checkpoint_interval_iterations",
    }


def test_cartpole_plays_cartpole_on_raw_rewards():
    settings = presets.cartpole()
    assert settings.env_id == "CartPole-v1"
    assert settings.clip_rewards is False


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(
        SettingsError, match="'breakout', 'atari', 'cartpole'. .*'pong'"
    ):
        presets.get("pong")
