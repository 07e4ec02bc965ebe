"""Settings: what a run may be told, and what it answers to the rest."""

import dataclasses
import json
import math
import string
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn import config
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


# The reference implementation's numbers ---------------------------------------


@pytest.mark.parametrize(
    "name, value",
    [
        ("gamma", 0.99),  # 1.1
        ("learning_rate", 0.0001),  # 1.2
        ("env_steps", 40_000_000),  # 1.3
        ("num_envs", 8),  # 1.4
        ("vector_steps_per_iteration", 4),  # 1.5
        ("env_steps_per_iteration", 32),  # 1.6
        ("updates_per_iteration", 8),  # 1.7
        ("iterations", 1_250_000),  # 1.8
        ("batch_size", 32),  # 1.9
        ("target_sync_interval_iterations", 312),  # 1.10
        ("replay_capacity", 16_384),  # 1.11
        ("alpha", 0.6),  # 1.12
        ("priority_epsilon", 0.000001),  # 1.13
        ("clipnorm", 10.0),  # 1.14
        ("full_action_space", False),  # 1.15
        ("seed", 7),  # 1.17
        ("learning_starts", 16_384),  # 9.5
        ("updates_per_dispatch", 1),  # 9.4
        ("log_interval_iterations", 10),  # 9.2 e
        ("histogram_interval_iterations", 10),  # 9.2 e
        ("checkpoint_interval_iterations", 100_000),  # 9.2 f
        ("hidden_units", 256),  # 2.3
        ("huber_delta", 1.0),  # 4.7
        ("adam_epsilon", 1e-8),  # 4.9
        ("life_loss", "reset"),  # 8A.8
        ("clip_rewards", False),  # 8A.2
        ("noop_max", 30),  # 8A.8
        ("frame_skip", 4),  # 8A.2
        ("double_q", True),  # 4.3
        ("n_steps", 1),  # 4.5
    ],
)
def test_the_default_is_that_of_the_reference(name, value):
    assert getattr(Settings(), name) == value
    assert type(getattr(Settings(), name)) is type(value)


def test_the_default_schedules_are_those_of_the_reference():
    assert Settings().epsilon_schedule == PiecewiseSchedule(
        ((0, 1.0), (1_000_000, 0.1), (20_000_000, 0.01)), 0.01
    )
    assert Settings().beta_schedule == PiecewiseSchedule(
        ((0, 0.4), (40_000_000, 1.0)), 1.0
    )


# Derived figures --------------------------------------------------------------


def test_a_run_is_rounded_down_to_whole_iterations():
    assert Settings(**SMALL).iterations == 100
    assert Settings(**{**SMALL, "env_steps": 807}).iterations == 100
    assert Settings(**{**SMALL, "env_steps": 808}).iterations == 101


def test_the_target_is_never_copied_more_than_once_an_iteration():
    synced = Settings(**SMALL, target_sync_env_steps=1)
    assert synced.target_sync_interval_iterations == 1


def test_learning_starts_is_the_given_number_or_the_capacity():
    assert Settings(**SMALL).learning_starts == 64
    given_start = Settings(**SMALL, learning_starts_env_steps=20)
    assert given_start.learning_starts == 20


# Types and ranges -------------------------------------------------------------

HUGE = pytest.param(10**5000, id="huge")  # too large even for `repr`
COUNTS = [name for name, f in config.FIELDS.items() if f.metadata["kind"] == "count"]
NUMBERS = [name for name, f in config.FIELDS.items() if f.metadata["kind"] == "number"]
FLAGS = [name for name, f in config.FIELDS.items() if f.metadata["kind"] == "flag"]


def test_every_field_states_its_meaning_and_kind_and_its_range():
    for name, field in config.FIELDS.items():
        assert field.metadata["help"], name


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    "value", [-1, 1.0, 1.5, "1", True, [1], {}, math.nan, 2**63, HUGE]
)
def test_a_count_takes_whole_numbers_in_range(name, value):
    message, field = refusal(**{name: value})
    assert field == name
    assert f"`{name}` must be an integer from " in message
    assert f"Received: {name}=" in message


@pytest.mark.parametrize("name", [n for n in COUNTS if n not in ("noop_max", "seed")])
def test_a_count_that_must_be_positive_is_not_0(name):
    message, field = refusal(**{name: 0})
    assert field == name
    assert f"`{name}` must be an integer from 1 to" in message
    assert f"Received: {name}=0" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in NUMBERS
        for value in [-0.1, "0.5", True, [0.5], math.nan, math.inf, -math.inf, 10**400]
        # Some games have negative scores.
        if (name, value) != ("stop_at_score", -0.1)
    ],
)
def test_a_number_is_finite_and_in_range(name, value):
    message, field = refusal(**{name: value})
    assert field == name
    assert f"`{name}` must be a " in message
    assert f"Received: {name}=" in message


@pytest.mark.parametrize(
    "name",
    ["gamma", "alpha", "repeat_action_probability", "epsilon_outside", "beta_outside"],
)
def test_a_probability_is_from_0_to_1(name):
    assert f"`{name}` must be a number from 0 to 1" in refusal(**{name: 1.0001})[0]
    for value in (0, 1):
        changes = {"epsilon_endpoints": (), name: value}
        assert getattr(Settings(**{**SMALL, **changes}), name) == value


@pytest.mark.parametrize(
    "name",
    ["learning_rate", "adam_epsilon", "clipnorm", "huber_delta", "priority_epsilon"],
)
def test_a_scale_is_above_0(name):
    assert f"`{name}` must be a finite number above 0" in refusal(**{name: 0.0})[0]


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_flag_is_true_or_false(name, value):
    assert f"`{name}` must be true or false" in refusal(**{name: value})[0]


@pytest.mark.parametrize(
    "name", ["life_loss", "replay_kind", "dtype_policy", "jit_compile"]
)
@pytest.mark.parametrize("value", ["Reset", "", None, 3, ["reset"]])
def test_a_choice_is_one_of_those_named(name, value):
    message = refusal(**{name: value})[0]
    for choice in config.FIELDS[name].metadata["choices"]:
        assert repr(choice) in message


@pytest.mark.parametrize("value", ["", " ", " Breakout", "Break\nout", None, 3, b"x"])
def test_an_environment_id_is_a_printable_name(value):
    assert "`env_id` must be a name" in refusal(env_id=value)[0]


@pytest.mark.parametrize("value", [-1, 2**31, 7.0])
def test_the_seed_fits_31_bits(value):
    assert "`seed` must be an integer from 0 to 2147483647" in refusal(seed=value)[0]
    assert Settings(**SMALL, seed=2**31 - 1).seed == 2**31 - 1


@pytest.mark.parametrize("name", ["epsilon_endpoints", "beta_endpoints"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "0:1",
        {0: 1.0, 9: 0.1},
        [[0, 1.0]],
        [[0, 1.0], [9]],
        [[0, 1.0], "9x"],
        [[0, 1.0], [9, 1.1]],
        [[0, 1.0], [9, -0.1]],
        [[0, 1.0], [9, math.nan]],
        [[0, 1.0], [9.0, 0.5]],
        [[1, 1.0], [9, 0.5]],
        [[-1, 1.0], [9, 0.5]],
        [[0, 1.0], [9, 0.5], [9, 0.2]],
        [[0, 1.0], [9, 0.5], [8, 0.2]],
    ],
)
def test_endpoints_rise_from_0_and_their_values_are_from_0_to_1(name, value):
    message, field = refusal(**{name: value})
    assert field == name
    assert f"`{name}` must be a list of at least two pairs" in message


def test_only_six_fields_take_none():
    optional = {n for n, f in config.FIELDS.items() if "none" in f.metadata}
    assert optional == {
        "repeat_action_probability",
        "clipnorm",
        "learning_starts_env_steps",
        "evaluation_interval_iterations",
        "stop_at_score",
        "env_timeout_seconds",
    }
    values = Settings(**SMALL, **dict.fromkeys(optional)).to_dict()
    assert [values[name] for name in sorted(optional)] == [None] * 6


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
            "`env_steps` must be at least one iteration, `num_envs` * "
            "`vector_steps_per_iteration` = 8 agent steps. Received: env_steps=7",
        ),
        (
            {"updates_per_dispatch": 4},
            "`updates_per_dispatch` must divide `updates_per_iteration`. "
            "Received: updates_per_dispatch=4, updates_per_iteration=6",
        ),
        (
            {"env_steps": 63},
            "This run would never train: `replay_capacity` must be <= 56, the "
            "`env_steps` in whole iterations, or `learning_starts_env_steps` must be "
            "given. Received: replay_capacity=64, env_steps=63",
        ),
        (
            {"env_steps": 39, "learning_starts_env_steps": 33},
            "This run would never train: `learning_starts_env_steps` must be <= 32, "
            "the `env_steps` in whole iterations. "
            "Received: learning_starts_env_steps=33, env_steps=39",
        ),
        (
            {"epsilon_endpoints": ((0, 0.1), (9, 0.5))},
            "`epsilon_endpoints` must never rise, nor end below `epsilon_outside`. "
            "Received: epsilon_endpoints=((0, 0.1), (9, 0.5)), epsilon_outside=0.01",
        ),
        (
            {"epsilon_outside": 0.02},
            "`epsilon_endpoints` must never rise, nor end below `epsilon_outside`",
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
        {"env_steps": 64},
        {"env_steps": 39, "learning_starts_env_steps": 32},
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
    "key, nearest",
    [
        ("gama", "gamma"),
        ("n_step", "n_steps"),
        ("num_env", "num_envs"),
        ("learning_starts", "learning_starts_env_steps"),
        ("target_sync_steps", "target_sync_env_steps"),
        ("batchsize", "batch_size"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_field(key, nearest):
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({key: 3})
    assert str(caught.value) == (
        f"`{key}` is not a setting. Did you mean `{nearest}`? Received: {key}=3"
    )
    assert caught.value.field == key


@pytest.mark.parametrize("key", ["zzz", "", 3, None, ("gamma",)])
def test_a_key_like_no_field_is_refused_without_a_guess(key):
    with pytest.raises(SettingsError, match="is not a setting. Received"):
        Settings.from_dict({key: 3})


@pytest.mark.parametrize("values", [None, [], "gamma", 3, [["gamma", 0.5]]])
def test_what_is_no_dictionary_is_refused(values):
    with pytest.raises(SettingsError, match="must be a dict. Received"):
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


# Any dictionary ---------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)


def plausible(name):
    """Values near the edges of what the field takes, most of them good."""
    metadata = config.FIELDS[name].metadata
    return {
        "count": st.integers(0, 9) | st.sampled_from([32, 64, 4096, 16_384, 10**6]),
        "number": st.floats(0, 1.1) | st.integers(0, 1),
        "flag": st.booleans(),
        "choice": st.sampled_from(metadata.get("choices", ("",))),
        "text": st.sampled_from(["Pong", "CartPole-v1"]),
        "endpoints": st.lists(
            st.tuples(st.integers(0, 5), st.floats(0, 1)).map(list), max_size=3
        ).map(sorted),
    }[metadata["kind"]]


def dictionaries(values):
    return st.lists(st.sampled_from(sorted(config.FIELDS)), unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: values(name) for name in names})
    )


def check_settings_or_refusal(values):
    try:
        settings = Settings.from_dict(values)
    except SettingsError as error:
        assert "Received: " in str(error)
        assert "\n" not in str(error)
        event("refused")
        return
    event("taken")
    each = settings.env_steps_per_iteration
    steps_taken = settings.iterations * each
    assert each == settings.num_envs * settings.vector_steps_per_iteration
    assert 0 <= settings.env_steps - steps_taken < each
    assert settings.batch_size <= settings.learning_starts <= steps_taken
    assert settings.learning_starts <= settings.replay_capacity
    assert settings.replay_capacity % settings.num_envs == 0
    assert settings.target_sync_interval_iterations >= 1
    for env_steps in (0, 1, steps_taken):
        assert 0.0 <= settings.epsilon_schedule(env_steps) <= 1.0
        assert 0.0 <= settings.beta_schedule(env_steps) <= 1.0
    assert settings.epsilon_schedule(0) >= settings.epsilon_schedule(steps_taken)
    text = json.dumps(settings.to_dict(), allow_nan=False)
    assert Settings.from_dict(json.loads(text)) == settings


@hypothesis_settings(max_examples=300, deadline=None)
@given(dictionaries(lambda name: ANY_JSON | plausible(name)))
def test_any_json_gives_consistent_settings_or_a_refusal(values):
    check_settings_or_refusal(values)


@hypothesis_settings(max_examples=300, deadline=None)
@given(dictionaries(plausible))
def test_plausible_values_give_consistent_settings_or_a_refusal(values):
    check_settings_or_refusal(values)


@hypothesis_settings(deadline=None)
@given(st.dictionaries(st.text(string.printable, max_size=8), ANY_JSON, max_size=3))
def test_any_keys_give_settings_or_a_refusal(values):
    check_settings_or_refusal(values)


@hypothesis_settings(deadline=None)
@given(ANY_JSON)
def test_any_json_in_place_of_a_dictionary_gives_settings_or_a_refusal(value):
    check_settings_or_refusal(value)


def test_a_score_to_stop_at_needs_evaluations():
    with pytest.raises(SettingsError, match="needs `evaluation_interval_iterations`"):
        Settings(stop_at_score=475.0)
    both = Settings(stop_at_score=475.0, evaluation_interval_iterations=10)
    assert both.stop_at_score == 475.0


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("priority_epsilon", 1.0)])
def test_priorities_cannot_be_set_where_there_are_none(name, value):
    with pytest.raises(SettingsError, match=rf"`{name}` .*'uniform'.*{name}={value}"):
        Settings(replay_kind="uniform", **{name: value})
    assert Settings(replay_kind="uniform").alpha == 0.6
