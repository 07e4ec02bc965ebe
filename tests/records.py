"""Records and run facts for the tests of the monitors, and a clock for them."""

import dataclasses

import numpy as np

from keras_dqn import monitor
from keras_dqn.evaluation import Evaluation
from keras_dqn.progress import Progress


@dataclasses.dataclass(frozen=True)
class Episode:
    env_index: int = 0
    score: float = 3.0
    length: int = 30
    lives: int = 4
    truncated: bool = False
    final_frame: np.ndarray | None = None


def make_info(**changes):
    values = dict(
        env_id="ALE/Breakout",
        backend="jax",
        device="CPU",
        versions={"keras_dqn": "0.1.0", "keras": "3.15.1"},
        env_options={"life_loss": "terminal", "frame_skip": 4},
        settings={"replay_capacity": 16384},
        replay_nbytes_when_full=3 * 2**30,
        total_env_steps=40_000_000,
        num_envs=8,
        seed=7,
    )
    return monitor.RunInfo(**{**values, **changes})


def make_progress(iteration=0, **changes):
    """The record of an iteration of 32 agent steps, as in the reference."""
    values = dict(
        iteration=iteration,
        env_steps=32 * iteration,
        env_steps_done=32 * iteration + 32,
        total_env_steps=40_000_000,
        updates=8 * iteration,
        is_training=True,
        epsilon=0.25,
        beta=0.5,
        loss=0.125,
        q_mean=1.5,
        q_std=0.75,
        td_error=0.0625,
        episodes=(),
        episode_count=150,
        score_mean=12.345,
        length_mean=31.25,
        best_score=42.0,
        best_frame=None,
        replay_size=16384,
        replay_capacity=16384,
        replay_nbytes=64 * 2**20,
        seconds=0.25,
        learning_rate=0.0625,
        gradient_norm=0.375,
        effective_sample_size=24.5,
        sample_age_mean=8000.0,
        max_priority=3.5,
    )
    return Progress(**{**values, **changes})


def make_filling(iteration=0, **changes):
    """A record from before the replay is full and an episode has ended."""
    values = dict(
        updates=0,
        is_training=False,
        loss=None,
        q_mean=None,
        q_std=None,
        td_error=None,
        gradient_norm=None,
        effective_sample_size=None,
        sample_age_mean=None,
        episode_count=0,
        score_mean=None,
        length_mean=None,
        best_score=None,
        replay_size=32 * iteration + 32,
    )
    return make_progress(iteration, **{**values, **changes})


def make_evaluation(scores):
    """An evaluation with these scores, and games of 10, 11, ... agent steps."""
    return Evaluation(
        scores=np.array(scores, np.float64),
        lengths=np.arange(10, 10 + len(scores)),
        epsilon=0.05,
        env_id="ALE/Breakout",
    )


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds
