"""Named rules for an evaluation, so that scores can be compared with published ones.

Scores by different rules must not be compared: a game with sticky actions is harder,
and a single life scores less than a whole game.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import pathlib
from typing import Any

from keras_dqn import checks


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The rules of an evaluation on Atari.

    Attributes:
        about: String, the rules in a few words.
        epsilon: Probability of a random action.
        options: Dictionary of options of `make_envs` that the rules fix. All others,
            such as `frame_skip`, stay those of the training.
    """

    about: str
    epsilon: float
    options: dict[str, Any]

    def with_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Returns options of `make_envs`: those given, but for what the rules fix."""
        return {**options, **self.options}


# Sources: Mnih et al., 2015, "Evaluation procedure" (30 games of at most five minutes,
# https://doi.org/10.1038/nature14236). Machado et al., 2018, section 5 (sticky actions,
# no no-ops, lost lives do not count, https://arxiv.org/abs/1709.06009); its epsilon
# and time limit are Dopamine's (Castro et al., 2018, https://arxiv.org/abs/1812.06110).
# The reference implementation restarts the game at each lost life.
PROTOCOLS = {
    "nature": Protocol(
        "whole games of at most 5 minutes, up to 30 no-ops, no sticky actions",
        0.05,
        {
            "repeat_action_probability": 0.0,
            "noop_max": 31,  # from 0 to 30
            "life_loss": "ignore",
            "max_episode_frames": 18_000,
        },
    ),
    "ale": Protocol(
        "whole games of at most 30 minutes, no no-ops, sticky actions",
        0.001,
        {
            "repeat_action_probability": 0.25,
            "noop_max": 0,
            "life_loss": "ignore",
            "max_episode_frames": 108_000,
        },
    ),
    "reference": Protocol(
        "single lives, as the reference implementation counts in training",
        0.01,
        {
            "repeat_action_probability": 0.0,
            "noop_max": 30,
            "life_loss": "reset",
            "max_episode_frames": 108_000,
        },
    ),
}


def get(name: str) -> Protocol:
    """Returns a protocol by its name.

    Raises:
        ValueError: If there is none of this name.
    """
    return PROTOCOLS[checks.choice("protocol", name, PROTOCOLS)]


def published(env_id: str) -> tuple[float, float] | None:
    """Returns the scores of a random and a human player, `None` without any.

    Args:
        env_id: String, such as `"ALE/Breakout"`.
    """
    return _human_scores().get(env_id.removeprefix("ALE/").lower())


def human_normalized(env_id: str, score: float) -> float | None:
    """Returns a score on a scale on which a random player has 0 and a human 1.

    Args:
        env_id: String, such as `"ALE/Breakout"`.
        score: Float, of a whole game.

    Returns:
        Float, or `None` for a game without published scores.

    Reference:
        - [Wang et al., 2016](https://arxiv.org/abs/1511.06581), appendix: scores of
          a random and a human player with up to 30 no-ops, in `human_scores.csv`.
    """
    scores = published(env_id)
    if scores is None:
        return None
    random, human = scores
    return (score - random) / (human - random)


@functools.cache
def _human_scores():
    """Returns `(random, human)` by the name of the game, such as `"mspacman"`."""
    path = pathlib.Path(__file__).with_name("human_scores.csv")
    with open(path, newline="") as file:
        return {
            row["game"].replace("_", ""): (float(row["random"]), float(row["human"]))
            for row in csv.DictReader(file)
        }
