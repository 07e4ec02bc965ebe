"""Any dictionary whatever makes consistent `Settings`, or is refused in one line."""

import json
import string

import pytest
from hypothesis import event
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError

pytestmark = pytest.mark.numpy

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
    metadata = FIELDS[name].metadata
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
    return st.lists(st.sampled_from(sorted(FIELDS)), unique=True).flatmap(
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
    assert settings.batch_size <= settings.learning_starts
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
