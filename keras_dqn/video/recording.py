"""Plays games one after the other and keeps all that a video shows of the best one."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_dqn import checks
from keras_dqn.envs.screens import Screens
from keras_dqn.exploration import epsilon_greedy

if TYPE_CHECKING:
    from keras_dqn.envs.base import VectorEnvs


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a network returns for `n` observations.

    Attributes:
        q_values: Float32 array, `(n, actions)`.
        values: Float32 array, `(n,)`: V(s). `None` without a dueling head.
        advantages: Float32 array, `(n, actions)`: A(s, a), less their mean. `None`
            without a dueling head.
    """

    q_values: np.ndarray
    values: np.ndarray | None = None
    advantages: np.ndarray | None = None


class Packed:
    """A compressed array: a game of half an hour has 27,000 screens."""

    def __init__(self, array: np.ndarray) -> None:
        self._shape, self._dtype = array.shape, array.dtype
        self._data = zlib.compress(np.ascontiguousarray(array).data, 1)

    def array(self) -> np.ndarray:
        """Returns the array, read-only."""
        data = zlib.decompress(self._data)
        return np.frombuffer(data, self._dtype).reshape(self._shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """One step of a game: what was seen and computed, and the action.

    Attributes:
        screen: `Packed` screen before the action, uint8 RGB, `(height, width, 3)`.
        observation: `Packed` observation, `(height, width, frames)` uint8 for images,
            else `(features,)`.
        outputs: `Outputs` of it.
        action: Integer, the action taken.
        is_greedy: Boolean, whether it is the one with the highest Q-value.
        score: Float, the sum of raw rewards before the action.
        reward: Float, the raw reward of the action.
    """

    screen: Packed
    observation: Packed
    outputs: Outputs
    action: int
    is_greedy: bool
    score: float
    reward: float


@dataclasses.dataclass(frozen=True, eq=False)
class Game:
    """A whole game.

    Attributes:
        moments: Tuple of `Moment`.
        score: Float, the sum of raw rewards.
        env_id: String.
        action_names: Tuple of strings.
        epsilon: Probability of a random action.
    """

    moments: tuple[Moment, ...]
    score: float
    env_id: str
    action_names: tuple[str, ...]
    epsilon: float


def best_of(
    count: int,
    outputs: Callable[[np.ndarray], Outputs],
    envs: VectorEnvs,
    screens: Screens,
    epsilon: float,
    seed: int,
    on_game: Callable[[int, Game], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Game | None:
    """Plays `count` games and returns the one with the highest score.

    Args:
        count: Integer, at least 1.
        outputs: Function from observations, channels last, to `Outputs`.
        envs: Vector environments, one environment.
        screens: `Screens` of it.
        epsilon: Float from 0 to 1, probability of a random action.
        seed: Integer, at least 0. Game `i` has the seed `seed + i`.
        on_game: Called with the number of each game, from 0, and the game.
        stop: Called before each step. When it returns true, recording is aborted.

    Returns:
        `Game`, or `None` if it was aborted.

    Raises:
        ValueError: If an argument is out of range.
        EnvFault: If an environment failed.
    """
    checks.integer("count", count, minimum=1)
    best = None
    for number in range(count):
        moments, score = [], 0.0
        for moment in play(outputs, envs, screens, epsilon, seed + number):
            if stop is not None and stop():
                return None
            moments.append(moment)
            score = moment.score + moment.reward
        game = Game(tuple(moments), score, envs.env_id, action_names(envs), epsilon)
        if on_game is not None:
            on_game(number, game)
        if best is None or game.score > best.score:
            best = game
    return best


def play(
    outputs: Callable[[np.ndarray], Outputs],
    envs: VectorEnvs,
    screens: Screens,
    epsilon: float,
    seed: int,
) -> Iterator[Moment]:
    """Plays one game and yields its moments, each after its step.

    Args:
        outputs, envs, screens, epsilon: See `best_of`.
        seed: Integer, at least 0, of the game and of the random actions.

    Raises:
        ValueError: If an argument is out of range.
        EnvFault: If an environment failed.
    """
    checks.probability("epsilon", epsilon)
    rng = np.random.default_rng(checks.integer("seed", seed, minimum=0))
    observations = envs.reset(seed=seed)
    screen = screens.reset(seed, observations)
    score, is_over = 0.0, False
    while not is_over:
        seen = np.moveaxis(observations, 1, -1) if envs.frame_stack else observations
        result = outputs(seen)
        actions = epsilon_greedy(result.q_values, epsilon, rng)
        step = envs.step(actions)
        yield Moment(
            screen=Packed(screen),
            observation=Packed(seen[0]),
            outputs=result,
            action=int(actions[0]),
            is_greedy=bool(actions[0] == result.q_values[0].argmax()),
            score=score,
            reward=float(step.rewards[0]),
        )
        screen = screens.step(actions, step)
        score += float(step.rewards[0])
        observations, is_over = step.observations, bool(step.restarted[0])


def action_names(envs: VectorEnvs) -> tuple[str, ...]:
    """Returns the names of the actions, or their numbers."""
    if envs.action_meanings is not None:
        return envs.action_meanings
    return tuple(str(action) for action in range(envs.num_actions))
