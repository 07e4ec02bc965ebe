"""Presets: what each stands for, and how it follows the length of a run."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn import presets
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.papers import PAPERS
from tests import runs

pytestmark = pytest.mark.numpy


def test_breakout_is_the_reference():
    """Its numbers are the defaults of `Settings`, which `test_config.py` checks."""
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
        assert settings.epsilon_schedule(env_steps) == settings.epsilon_final
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


def test_atari_has_the_usual_rules_and_schedules_that_fit():
    settings = presets.atari(env_steps=500_000)
    assert settings.epsilon_endpoints == ((0, 1.0), (80_000, 0.1), (250_000, 0.02))
    assert settings.target_sync_interval_iterations == 31
    assert settings.learning_starts == 16_000
    assert (settings.life_loss, settings.clip_rewards) == ("terminal", True)


def test_atari_has_the_learning_of_breakout():
    settings, reference = presets.atari(), presets.breakout()
    for name in ("learning_rate", "clipnorm", "gamma", "alpha", "hidden_units"):
        assert getattr(settings, name) == getattr(reference, name), name
    for name in ("batch_size", "updates_per_iteration", "env_steps_per_iteration"):
        assert getattr(settings, name) == getattr(reference, name), name


def test_cartpole_plays_cartpole_on_raw_rewards():
    settings = presets.cartpole()
    assert settings.env_id == "CartPole-v1"
    assert settings.clip_rewards is False


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(
        SettingsError, match="'breakout', 'atari', 'cartpole'. .*'pong'"
    ):
        presets.get("pong")


# From the papers' tables; the rest of each preset is the same in all of them.
PUBLISHED = {
    "dqn2015": {"epsilon_final": 0.1, "double_q": False, "learning_rate": 6.25e-5},
    "double_dqn": {"double_q": True, "target_sync_env_steps": 30_000},
    "prioritized": {"replay_kind": "prioritized", "alpha": 0.6, "dueling": False},
    "dueling": {"dueling": True, "clipnorm": 10.0, "clip_scope": "global"},
    "c51": {"distribution": "categorical", "atoms": 51, "learning_rate": 2.5e-4},
    "qr_dqn": {"distribution": "quantiles", "quantiles": 200, "learning_rate": 5e-5},
    "m_dqn": {"munchausen": True, "munchausen_tau": 0.03, "learning_rate": 5e-5},
}


@pytest.mark.parametrize("name", PAPERS)
def test_a_published_preset_has_the_values_of_its_paper(name):
    settings = presets.get(name)()
    for field, value in PUBLISHED[name].items():
        assert getattr(settings, field) == value, field
    assert settings.env_steps == 50_000_000 and settings.replay_capacity == 1_000_000
    # One gradient step to four agent steps.
    assert settings.env_steps_per_iteration == 4 * settings.updates_per_iteration
    steps = 250_000 if name == "m_dqn" else 1_000_000
    assert settings.epsilon_endpoints[-1] == (steps, settings.epsilon_final)
    assert settings.learning_starts == (20_000 if name == "m_dqn" else 50_000)


def test_a_short_run_of_a_published_preset_has_short_schedules():
    settings = presets.get("c51")(env_steps=300_000)
    assert settings.epsilon_endpoints == ((0, 1.0), (75_000, 0.01))
    assert settings.learning_starts == 10_000
    assert settings.beta_endpoints[-1] == (300_000, 1.0)


def test_the_command_lists_presets_and_shows_differences(capsys):
    assert runs.command("presets") == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{listed}" for name in presets.names())
    assert runs.command("presets", "double_dqn", "prioritized") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["setting", "double_dqn", "prioritized"],
        ["replay_kind", "uniform", "prioritized"],
    ]
    assert runs.command("presets", "atari") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["setting", "breakout", "atari"]
    assert any(row.split()[:3] == ["clip_rewards", "no", "yes"] for row in rows)
    assert runs.command("presets", "ataru") == 64
    assert "Did you mean `atari`" in capsys.readouterr().err
