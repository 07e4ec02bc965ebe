"""Takes the replay that an agent is given, or says what to give instead."""

from __future__ import annotations

from keras_dqn import checks
from keras_dqn.replay.base import Replay
from keras_dqn.replay.prioritized import PrioritizedReplay

_RULE = "a `PrioritizedReplay` or `UniformReplay`"


def as_replay(replay: object) -> Replay:
    """Returns `replay`; for `None`, a prioritized one of 2**14 transitions.

    Raises:
        TypeError: If it is no replay.
    """
    if replay is None:
        return PrioritizedReplay(2**14)
    if not isinstance(replay, Replay):
        instead = "keras_dqn.PrioritizedReplay(2**14)"
        if isinstance(replay, int) and replay > 1:
            instead = f"keras_dqn.PrioritizedReplay({replay})"
        elif isinstance(replay, type):
            instead = f"keras_dqn.{replay.__name__}(...)"
        raise checks.wrong_kind("replay", _RULE, replay, instead)
    return replay
