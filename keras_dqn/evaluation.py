"""Evaluation: whole games, played with a fixed policy."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn import checks
from keras_dqn.exploration import epsilon_greedy
from keras_dqn.progress import decimals
from keras_dqn.system import signals

if TYPE_CHECKING:
    from keras_dqn.envs.base import VectorEnvs
    from keras_dqn.envs.step import Episode


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        scores: Float64 array, `(episodes,)`: the sum of raw rewards of each episode.
        lengths: Int64 array, `(episodes,)`, in agent steps.
        epsilon: Probability of a random action.
        env_id: String, the environment.
        frame_skip: Integer, emulator frames of an agent step; 1 outside Atari.
    """

    scores: np.ndarray
    lengths: np.ndarray
    epsilon: float
    env_id: str
    frame_skip: int = 1

    @property
    def frames(self) -> np.ndarray:
        """Emulator frames of each episode, int64, `(episodes,)`."""
        return self.lengths * self.frame_skip

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(self.scores.mean())

    @property
    def std(self) -> float:
        """Sample standard deviation of the scores (n - 1); 0 for one episode."""
        return float(self.scores.std(ddof=1)) if len(self.scores) > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the mean score, by the normal approximation."""
        half = 1.96 * self.std / math.sqrt(len(self.scores))
        return self.mean - half, self.mean + half

    def __str__(self) -> str:
        low, high = self.interval
        digits = decimals(float(np.abs(self.scores).max()))
        is_whole = (self.scores == np.round(self.scores)).all()
        score_digits = 0 if is_whole else digits
        best, worst = self.scores.max(), self.scores.min()
        return (
            f"{self.env_id}: mean score {self.mean:.{digits}f} over {len(self.scores)} "
            f"episodes (95 % interval {low:.{digits}f} to {high:.{digits}f}, best "
            f"{best:.{score_digits}f}, worst {worst:.{score_digits}f}, "
            f"mean length {self.lengths.mean():.0f}, epsilon {self.epsilon:g})"
        )


def evaluate(
    q_values: Callable[[np.ndarray], np.ndarray],
    envs: VectorEnvs,
    episodes: int,
    epsilon: float,
    seed: int | tuple[int, ...],
    stop: Callable[[], bool] | None = None,
    on_game: Callable[[int, int], Any] | None = None,
) -> Evaluation | None:
    """Plays whole games and returns their scores.

    Every environment plays the same number of games, plus or minus one. Taking the
    games that end first would favor short ones.

    Args:
        q_values: Function from observations `(num_envs, *observation)` to Q-values
            `(num_envs, actions)`, both NumPy arrays.
        envs: Vector environments. They are reset, and not closed.
        episodes: Integer, at least 1.
        epsilon: Float from 0 to 1, probability of a random action.
        seed: Integer, or tuple of integers, for the games and the random actions.
        stop: Callable without arguments, called before every step, or `None`. The
            evaluation is aborted when it returns true.
        on_game: Callable `on_game(done, total)`, called before the first game and
            whenever games have ended, or `None`.

    Returns:
        `Evaluation`, its games ordered by environment. `None` if it was aborted.

    Raises:
        ValueError: If `episodes`, `epsilon` or `seed` is out of range.
        TypeError: If `stop` or `on_game` cannot be called.
    """
    episodes = checks.integer("episodes", episodes, minimum=1)
    epsilon = checks.probability("epsilon", epsilon)
    for each in seed if isinstance(seed, tuple) else (seed,):
        checks.integer("seed", each, minimum=0)
    _check_stop(stop)
    if not (on_game is None or callable(on_game)):
        instead = "lambda done, total: ..."
        raise checks.wrong_kind("on_game", "a function or None", on_game, instead)
    played = _play(q_values, envs, episodes, epsilon, seed, stop, on_game)
    if played is None:
        return None
    games = [episode for games in played for episode in games]
    return Evaluation(
        scores=np.array([game.score for game in games], np.float64),
        lengths=np.array([game.length for game in games], np.int64),
        epsilon=epsilon,
        env_id=envs.env_id,
        frame_skip=envs.options.get("frame_skip", 1),
    )


@contextlib.contextmanager
def stopping(
    stop: Callable[[], bool] | None, handles_interrupts: bool
) -> Iterator[Callable[[], bool] | None]:
    """A context in which Ctrl-C, or the interrupt of a notebook, stops an evaluation.

    Args:
        stop: See `evaluate`.
        handles_interrupts: Boolean. If it is false, the context changes nothing.

    Yields:
        The argument `stop` for `evaluate`.

    Raises:
        TypeError: If `stop` cannot be called.
    """
    if not handles_interrupts:
        yield stop
        return
    _check_stop(stop)
    with signals.handled() as requests:
        yield lambda: requests.stop or bool(stop is not None and stop())


def _check_stop(stop):
    if not (stop is None or callable(stop)):
        raise checks.wrong_kind("stop", "a function or None", stop, "lambda: False")


def _play(q_values, envs, episodes, epsilon, seed, stop, on_game):
    """Returns the episodes of each environment, or `None` if it was aborted."""
    streams = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.default_rng(streams[0])
    shares = [
        episodes // envs.num_envs + (i < episodes % envs.num_envs)
        for i in range(envs.num_envs)
    ]
    played: list[list[Episode]] = [[] for _ in shares]
    observations = envs.reset(seed=int(streams[1].generate_state(1)[0] >> 1))
    done = None
    while (ended := sum(map(len, played))) < episodes:
        if on_game is not None and ended != done:
            on_game(ended, episodes)
        done = ended
        if stop is not None and stop():
            return None
        actions = epsilon_greedy(q_values(observations), epsilon, rng)
        step = envs.step(actions)
        for episode in step.episodes:
            if len(played[episode.env_index]) < shares[episode.env_index]:
                played[episode.env_index].append(episode)
        observations = step.observations
    if on_game is not None:
        on_game(episodes, episodes)
    return played
