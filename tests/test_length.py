"""How long a long run will take: said once, early, with what to type instead."""

import pytest

from keras_dqn import presets
from keras_dqn.runs.length import LengthHint
from tests.records import make_filling
from tests.records import make_progress

pytestmark = pytest.mark.numpy


def said(env_steps, seconds=1.0, first=0, count=40):
    """What is said in `count` iterations of 32 agent steps and `seconds` each."""
    lines = []
    settings = presets.breakout(env_steps=env_steps, learning_starts_env_steps=1_000)
    hint = LengthHint(settings, lines.append)
    changes = {"total_env_steps": env_steps}
    for i in range(first, first + 10):
        hint(None, make_filling(i, seconds=0.001, **changes))
    hint(None, make_progress(first + 10, seconds=100.0, **changes))  # compiles
    for i in range(first + 11, first + count):
        hint(None, make_progress(i, seconds=seconds, **changes))
    return lines


def test_a_run_of_days_says_so_once_with_three_shorter_ones():
    # 32 agent steps/s; 40M / 32 / 86,400 s = 14.5 days
    assert said(40_000_000, count=100) == [
        "At 32 agent steps/s, this run takes 14 days. For a shorter one, type:",
        "  --env-steps 20k  for ten minutes",  # 1,000 + 600 * 32
        "  --env-steps 460k  for an evening",
        "  --env-steps 920k  for a night",
    ]


def test_a_run_below_twelve_hours_says_nothing():
    # 12 h at 32 a second are 1,382,400 agent steps
    assert said(1_380_000) == []
    assert len(said(1_400_000)) == 4


def test_a_resumed_run_and_one_of_few_seconds_say_nothing():
    assert said(40_000_000, first=1_000) == []
    assert said(40_000_000, count=20) == []
