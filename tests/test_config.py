"""`Settings`: the reference numbers, what each field takes, and what is refused."""

import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.schedules import PiecewiseSchedule

pytestmark = pytest.mark.numpy

# A run of 100 iterations of 8 env steps, on which small changes can be tried.
SMALL = dict(
    num_envs=4,
    replay_capacity=64,
    env_steps=800,
    vector_steps_per_iteration=2,
    batch_size=16,
    updates_per_iteration=6,
)


def refusal(**changes):
    """Returns the message and field of the `SettingsError` for `SMALL` changed."""
    with pytest.raises(SettingsError) as caught:
        Settings(**{**SMALL, **changes})
    return str(caught.value), caught.value.field


def test_the_defaults_are_those_of_the_reference():
    """A dozen, by hand. `config/settings.py` is the only other place that has them."""
    settings = Settings()
    assert (settings.gamma, settings.n_steps) == (0.99, 1)
    assert (settings.learning_rate, settings.clipnorm) == (0.0001, 10.0)
    assert (settings.num_envs, settings.vector_steps_per_iteration) == (8, 4)
    assert (settings.updates_per_iteration, settings.batch_size) == (8, 32)
    assert (settings.alpha, settings.priority_epsilon) == (0.6, 0.000001)
    assert settings.replay_capacity == settings.learning_starts == 16_384
    assert settings.env_steps_per_iteration == 32
    assert settings.iterations == 1_250_000
    assert settings.target_sync_interval_iterations == 312
    assert settings.checkpoint_interval_iterations == 100_000
    assert settings.seed == 7


def test_the_default_schedules_are_those_of_the_reference():
    assert Settings().epsilon_schedule == PiecewiseSchedule(
        ((0, 1.0), (1_000_000, 0.1), (20_000_000, 0.01)), 0.01
    )
    assert Settings().beta_schedule == PiecewiseSchedule(
        ((0, 0.4), (40_000_000, 1.0)), 1.0
    )


def test_a_run_is_rounded_down_to_whole_iterations():
    assert Settings(**SMALL).iterations == 100
    assert Settings(**{**SMALL, "env_steps": 807}).iterations == 100
    assert Settings(**{**SMALL, "env_steps": 808}).iterations == 101


def test_the_target_is_never_updated_more_than_once_an_iteration():
    synced = Settings(**SMALL, target_sync_env_steps=1)
    assert synced.target_sync_interval_iterations == 1


def test_learning_starts_is_the_given_number_or_the_capacity():
    assert Settings(**SMALL).learning_starts == 64
    given_start = Settings(**SMALL, learning_starts_env_steps=20)
    assert given_start.learning_starts == 20


# What a field takes -----------------------------------------------------------

WRONG = {
    "count": [-1, 1.0, "1", True, [1], {}, math.nan, 2**63, 10**5000],
    "number": ["0.5", True, [0.5], math.nan, math.inf, -math.inf, 10**400],
    "flag": [0, 1, "true", None],
    "choice": ["Reset", "", None, 3, ["reset"]],
    "text": ["", " ", " Breakout", "Break\nout", None, 3, b"x"],
    "endpoints": [
        *(None, 5, "0:1", {0: 1.0, 9: 0.1}, {(0, 1.0), (9, 0.1)}),
        *([[0, 1.0]], [[0, 1.0], [9]], [[0, 1.0], "9x"], [[0, 1.0], [9.0, 0.5]]),
        *([[0, 1.0], [9, y]] for y in (1.1, -0.1, math.nan)),
        *([[x, 1.0], [9, 0.5]] for x in (1, -1)),
        *([[0, 1.0], [9, 0.5], [x, 0.2]] for x in (9, 8)),
    ],
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_wrong_value_is_refused_by_field_and_value(name):
    metadata = FIELDS[name].metadata
    for value in WRONG[metadata["kind"]]:
        if value is None and "none" in metadata:
            continue
        message, field = refusal(**{name: value})
        assert field == name
        assert message.startswith(f"`{name}` must be ")
        assert f"Received: {name}=" in message
        assert "\n" not in message and len(message) < 300


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_beyond_the_bounds_is_refused(name):
    metadata = FIELDS[name].metadata
    beyond = []
    if "above" in metadata:
        beyond.append(metadata["above"])
    if "minimum" in metadata:
        step = 1 if metadata["kind"] == "count" else 0.0001
        beyond += [metadata["minimum"] - step, metadata["maximum"] + step]
    for value in beyond:
        assert refusal(**{name: value})[1] == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("noop_max", "an integer from 0 to 2**63 - 1."),
        ("batch_size", "an integer from 1 to 2**63 - 1."),
        ("seed", "an integer from 0 to 2147483647."),
        ("gamma", "a number from 0 to 1."),
        ("learning_rate", "a finite number above 0."),
        ("clipnorm", "a finite number above 0, or none (off)."),
        ("learning_starts_env_steps", "or none (when the replay is full)."),
        ("life_loss", "one of 'reset', 'terminal', 'ignore'."),
        ("env_id", "printable"),
        ("beta_endpoints", "a list of at least two pairs [agent steps, value], or"),
    ],
)
def test_a_message_has_the_rule_of_the_field(name, words):
    assert words in refusal(**{name: -1})[0]


def test_a_misspelled_choice_is_named_with_the_nearest():
    assert "Did you mean `reset`?" in refusal(life_loss="Reset")[0]


def test_the_bounds_themselves_are_taken():
    taken = Settings(**SMALL, gamma=1, alpha=0, seed=2**31 - 1, noop_max=0)
    assert (taken.gamma, taken.alpha, taken.seed, taken.noop_max) == (
        1,
        0,
        2**31 - 1,
        0,
    )
    constant = dict(epsilon_endpoints=(), beta_endpoints=())
    for value in (0, 1):
        taken = Settings(**SMALL, **constant, epsilon_final=value, beta_final=value)
        assert taken.epsilon_schedule(9) == taken.beta_schedule(9) == value
    evaluated = Settings(evaluation_interval_iterations=10, stop_at_score=-21)
    assert evaluated.stop_at_score == -21.0


def test_some_fields_take_none():
    optional = [name for name, field in FIELDS.items() if "none" in field.metadata]
    values = Settings(**SMALL, **dict.fromkeys(optional)).to_dict()
    assert {name for name in FIELDS if values[name] is None} == set(optional)
    for name in FIELDS.keys() - set(optional):
        assert refusal(**{name: None})[1] == name


# Rules between fields ---------------------------------------------------------


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"batch_size": 65},
            "`batch_size` must be <= `replay_capacity`. "
            "Received: batch_size=65, replay_capacity=64",
        ),
        (
            {"batch_size": 33, "learning_starts_env_steps": 32},
            "`batch_size` must be <= `learning_starts_env_steps`. "
            "Received: batch_size=33, learning_starts_env_steps=32",
        ),
        (
            {"learning_starts_env_steps": 65},
            "`learning_starts_env_steps` must be <= `replay_capacity`. "
            "Received: learning_starts_env_steps=65, replay_capacity=64",
        ),
        (
            {"n_steps": 16},
            "`replay_capacity` must be > `n_steps` * `num_envs`. "
            "Received: replay_capacity=64, n_steps=16, num_envs=4",
        ),
        (
            {"n_steps": 5, "learning_starts_env_steps": 19},
            "`learning_starts_env_steps` must be >= `n_steps` * `num_envs`",
        ),
        (
            {"replay_capacity": 66},
            "`replay_capacity` must be a multiple of `num_envs`, for example 64. "
            "Received: replay_capacity=66, num_envs=4",
        ),
        (
            {"env_steps": 7},
            "`env_steps` must be at least one iteration: 8 agent steps, `num_envs` * "
            "`vector_steps_per_iteration`. Received: env_steps=7",
        ),
        (
            {"updates_per_dispatch": 4},
            "`updates_per_dispatch` must divide `updates_per_iteration`. "
            "Received: updates_per_dispatch=4, updates_per_iteration=6",
        ),
        (
            {"epsilon_endpoints": ((0, 0.1), (9, 0.5))},
            "`epsilon_endpoints` must not rise, nor end below `epsilon_final`. "
            "Received: epsilon_endpoints=((0, 0.1), (9, 0.5)), epsilon_final=0.01",
        ),
        (
            {"epsilon_final": 0.02},
            "`epsilon_endpoints` must not rise, nor end below `epsilon_final`",
        ),
    ],
)
def test_settings_that_exclude_each_other_are_refused(changes, words):
    message, field = refusal(**changes)
    assert words in message
    assert f"`{field}` must" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 64},
        {"batch_size": 32, "learning_starts_env_steps": 32},
        {"learning_starts_env_steps": 64},
        {"n_steps": 15},
        {"n_steps": 5, "learning_starts_env_steps": 20},
        {"env_steps": 8},
        {"updates_per_dispatch": 3},
        {"epsilon_endpoints": ((0, 0.01), (9, 0.01))},
    ],
)
def test_the_last_value_that_the_rule_allows_is_taken(changes):
    assert Settings(**{**SMALL, **changes})


# Conversion -------------------------------------------------------------------


def test_numpy_numbers_become_python_numbers():
    settings = Settings(
        **{**SMALL, "num_envs": np.int32(4)},
        gamma=np.float64(0.5),
        seed=np.uint8(3),
        clip_rewards=np.True_,
        env_id=np.str_("Pong"),
        clipnorm=Fraction(1, 2),
        epsilon_endpoints=[(np.int64(0), np.float64(1)), (9, 0.5)],
    )
    values = settings.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert {type(value) for value in values.values()} <= {
        int, float, bool, str, list, type(None)
    }  # fmt: skip


def test_integers_given_for_numbers_become_floats():
    assert type(Settings(gamma=1).gamma) is float
    assert Settings(gamma=1) == Settings(gamma=1.0)


def test_equal_settings_are_equal_and_hash_alike():
    lists = Settings(epsilon_endpoints=[[0, 1], [9, 0.5]])
    tuples = Settings(epsilon_endpoints=((0, 1.0), (9, 0.5)))
    assert lists == tuples
    assert hash(lists) == hash(tuples)
    assert lists != Settings()


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().gamma = 0.5


# Dictionaries -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("gama", "gamma"),
        ("num_env", "num_envs"),
        ("learning_starts", "learning_starts_env_steps"),
        ("target_sync_steps", "target_sync_env_steps"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_field(key, nearest):
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({"seed": 1, key: 3})
    message = str(caught.value)
    assert message.startswith(f"'{key}' is not a setting. Did you mean `{nearest}`?")
    assert "Received: " in message
    assert caught.value.field == key


@pytest.mark.parametrize("key", ["zzz", "", 3, None, ("gamma",)])
def test_a_key_like_no_field_is_refused_without_a_guess(key):
    with pytest.raises(SettingsError, match="is not a setting. Received"):
        Settings.from_dict({key: 3})


@pytest.mark.parametrize("values", [None, [], "gamma", 3, [["gamma", 0.5]]])
def test_what_is_no_dictionary_is_refused(values):
    with pytest.raises(SettingsError, match="must be a dictionary. Received"):
        Settings.from_dict(values)


def test_fields_left_out_are_defaults():
    assert Settings.from_dict({}) == Settings()
    assert Settings.from_dict({"seed": 1}) == Settings(seed=1)


def test_replace_changes_some_fields_and_checks_all():
    settings = Settings(**SMALL)
    assert settings.replace(gamma=0.5, seed=1) == Settings(**SMALL, gamma=0.5, seed=1)
    assert settings == Settings(**SMALL)
    with pytest.raises(SettingsError, match="`batch_size` must be <="):
        settings.replace(batch_size=65)
    with pytest.raises(SettingsError, match="Did you mean `gamma`"):
        settings.replace(gama=0.5)


def test_a_message_is_one_short_line_whatever_the_value():
    for value in ["x" * 10_000, np.eye(30), [list(range(100))] * 100, {"a": "\n" * 9}]:
        message = refusal(gamma=value)[0]
        assert "\n" not in message
        assert len(message) < 200


def test_a_score_to_stop_at_needs_evaluations():
    with pytest.raises(SettingsError, match="needs `evaluation_interval_iterations`"):
        Settings(stop_at_score=475.0)
    for interval in ("evaluation_interval_iterations", "evaluation_interval_minutes"):
        both = Settings(stop_at_score=475.0, **{interval: 10})
        assert both.stop_at_score == 475.0


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("priority_epsilon", 1.0)])
def test_priorities_cannot_be_set_where_there_are_none(name, value):
    with pytest.raises(
        SettingsError, match=rf"`{name}` .*`replay_kind` is prioritized.*{name}={value}"
    ):
        Settings(replay_kind="uniform", **{name: value})
    assert Settings(replay_kind="uniform").alpha == 0.6
