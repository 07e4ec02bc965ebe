"""Checks of arguments: what is taken, as what, and what the messages say."""

import fractions
import math

import numpy as np
import pytest

from keras_dqn import checks

pytestmark = pytest.mark.numpy


@pytest.mark.parametrize(
    ("check", "value", "taken"),
    [
        (lambda v: checks.integer("x", v, 0), np.int64(3), 3),
        (lambda v: checks.integer("x", v, 0, 3), 3, 3),
        (lambda v: checks.integer("x", v, -3), -3, -3),
        (lambda v: checks.integer("x", v, 0), 10**400, 10**400),
        (lambda v: checks.number("x", v), 1, 1.0),
        (lambda v: checks.number("x", v), np.float32(0.5), 0.5),
        (lambda v: checks.number("x", v, above=0.0), fractions.Fraction(1, 4), 0.25),
        (lambda v: checks.number("x", v, minimum=2.0), 2.0, 2.0),
        (lambda v: checks.probability("x", v), 0, 0.0),
        (lambda v: checks.probability("x", v), 1.0, 1.0),
        (lambda v: checks.boolean("x", v), np.True_, True),
        (lambda v: checks.choice("x", v, ("a", "b")), np.str_("b"), "b"),
    ],
)
def test_a_value_is_returned_in_its_plain_type(check, value, taken):
    found = check(value)
    assert found == taken
    assert type(found) is type(taken)


NO_INTEGERS = [1.0, True, "1", None, [1], np.array(1), math.nan]
NO_NUMBERS = [True, "1", None, [1.0], 1j, math.nan, math.inf, -math.inf, 10**400]


@pytest.mark.parametrize(
    ("check", "values", "rule"),
    [
        (
            lambda v: checks.integer("x", v, 1),
            [0, -1, *NO_INTEGERS],
            "an integer of at least 1",
        ),
        (
            lambda v: checks.integer("x", v, 0, 9),
            [10, -1, *NO_INTEGERS],
            "an integer from 0 to 9",
        ),
        (lambda v: checks.number("x", v), NO_NUMBERS, "a finite number"),
        (
            lambda v: checks.number("x", v, above=0.0),
            [0.0, -1.0, *NO_NUMBERS],
            "a finite number above 0",
        ),
        (
            lambda v: checks.number("x", v, minimum=2.0),
            [1.9, *NO_NUMBERS],
            "a finite number of at least 2",
        ),
        (
            lambda v: checks.probability("x", v),
            [-0.1, 1.1, *NO_NUMBERS],
            "a number from 0 to 1",
        ),
        (lambda v: checks.boolean("x", v), [0, 1, "yes", None], "true or false"),
        (lambda v: checks.choice("x", v, ("a", "b")), [None, 3, ""], "one of 'a', 'b'"),
    ],
)
def test_a_message_has_the_name_the_rule_and_the_value(check, values, rule):
    for value in values:
        with pytest.raises(ValueError) as caught:
            check(value)
        expected = f"`x` must be {rule}. Received: x={checks.shown(value)}"
        assert str(caught.value) == expected


def test_a_misspelled_choice_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'live', 'plain'. Did you mean `plain`?"):
        checks.choice("console", "plan", ("live", "plain"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gama", " Did you mean `gamma`?"),
        ("n_step", " Did you mean `n_steps`?"),
        ("n-steps", " Did you mean `n_steps`?"),
        ("learning", " Did you mean `learning_starts_env_steps`?"),
        ("Gamma", " Did you mean `gamma`?"),
        ("zzz", ""),
        ("", ""),
        (None, ""),
        ("x" * 10**6, ""),
    ],
)
def test_a_name_is_suggested_if_one_is_near(name, hint):
    known = ("gamma", "n_steps", "learning_starts_env_steps")
    assert checks.did_you_mean(name, known) == hint


def test_several_names_can_be_suggested_best_first():
    known = ("Ponk", "Pong", "Breakout")
    assert checks.did_you_mean("Pong1", known, count=3) == (
        " Did you mean `Pong` or `Ponk`?"
    )


class Broken:
    def __repr__(self):
        raise ValueError("no")


def test_any_value_is_shown_in_one_short_line():
    for value in ("x" * 10**4, np.eye(30), "\n" * 9, 10**5000, Broken()):
        text = checks.shown(value)
        assert 0 < len(text) <= 80
        assert "\n" not in text
