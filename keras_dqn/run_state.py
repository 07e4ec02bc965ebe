"""`RunState`: counters, episode statistics and random generators of a run."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn import checks

if TYPE_CHECKING:
    from keras_dqn.envs.step import Episode


EPISODE_WINDOW = 100  # episodes in the running means
_RNGS = ("exploration_rng", "replay_rng")
_STREAMS = 3  # the third is unused, but `envs_seed` depends on the number


class EpisodeStatistics:
    """The number of finished episodes, the last 100 of them, and the best one."""

    def __init__(self) -> None:
        self.count = 0
        self.scores: collections.deque[float] = collections.deque(maxlen=EPISODE_WINDOW)
        self.lengths: collections.deque[int] = collections.deque(maxlen=EPISODE_WINDOW)
        self.best_score: float | None = None
        self.best_frame: np.ndarray | None = None

    def add(self, episode: Episode) -> None:
        """Adds an `Episode`. It becomes the best one if its score is higher."""
        self.count += 1
        self.scores.append(episode.score)
        self.lengths.append(episode.length)
        if self.best_score is None or episode.score > self.best_score:
            self.best_score = episode.score
            self.best_frame = episode.final_frame

    def mean(self, values: Sequence[float]) -> float | None:
        """Returns the mean of `scores` or `lengths`, or `None` if there are none."""
        return float(np.mean(values)) if values else None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns the statistics as a dictionary of arrays."""
        state: dict[str, Any] = {
            "count": np.int64(self.count),
            "scores": np.array(self.scores, np.float64),
            "lengths": np.array(self.lengths, np.int64),
        }
        if self.best_score is not None:
            state["best_score"] = np.float64(self.best_score)
        if self.best_frame is not None:
            state["best_frame"] = self.best_frame
        return state

    @staticmethod
    def state_spec() -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Returns `(dtype, shape)` by name, see `Replay.state_spec`."""
        return {
            "count": (np.int64, ()),
            "scores": (np.float64, (EPISODE_WINDOW,)),
            "lengths": (np.int64, (EPISODE_WINDOW,)),
            "best_score": (np.float64, ()),
            "best_frame": (np.uint8, (4096, 4096, 4)),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Loads what `state_dict` returned.

        Raises:
            ValueError: If an entry is missing, or `scores` and `lengths` differ in
                length. Nothing is changed then.
        """
        optional = {"best_score", "best_frame"}
        missing = self.state_spec().keys() - state.keys() - optional
        if missing:
            raise ValueError(
                f"The saved episode statistics must have the entries {sorted(missing)}."
            )
        scores, lengths = len(state["scores"]), len(state["lengths"])
        if scores != lengths:
            raise ValueError(
                "The saved episode statistics must have as many `scores` as `lengths`. "
                f"Received: {scores} and {lengths}"
            )
        self.count = int(state["count"])
        self.scores = collections.deque(state["scores"].tolist(), EPISODE_WINDOW)
        self.lengths = collections.deque(state["lengths"].tolist(), EPISODE_WINDOW)
        best_score = state.get("best_score")
        self.best_score = None if best_score is None else float(best_score)
        self.best_frame = state.get("best_frame")


@dataclasses.dataclass
class RunState:
    """The state of the training loop between iterations, besides learner and replay.

    It holds counters, episode statistics and random generators. Random actions and
    minibatches each have their own generator, seeded from the run's seed.

    Attributes:
        iteration: Integer, the next iteration's number.
        updates: Integer, gradient steps taken.
        statistics: `EpisodeStatistics`.
        exploration_rng: Draws the random actions.
        replay_rng: Draws the minibatches.
        seed: Integer, the run's seed.
        reward_abs_max: Float, the largest |training reward| so far.
    """

    iteration: int
    updates: int
    statistics: EpisodeStatistics
    exploration_rng: np.random.Generator
    replay_rng: np.random.Generator
    seed: int
    reward_abs_max: float = 0.0

    @classmethod
    def from_seed(cls, seed: int) -> RunState:
        """Returns the state at the start of a run."""
        exploration, replay, _ = np.random.SeedSequence(seed).spawn(_STREAMS)
        return cls(
            0,
            0,
            EpisodeStatistics(),
            np.random.default_rng(exploration),
            np.random.default_rng(replay),
            seed,
        )

    def record(self, episodes: Iterable[Episode], reward_abs_max: float) -> None:
        """Adds the episodes and the largest |reward| of an iteration."""
        for episode in episodes:
            self.statistics.add(episode)
        self.reward_abs_max = max(self.reward_abs_max, reward_abs_max)

    def envs_seed(self) -> int:
        """Returns the seed for games that are started before the next iteration."""
        key = (_STREAMS, self.iteration)
        stream = np.random.SeedSequence(self.seed, spawn_key=key)
        return int(stream.generate_state(1)[0] >> 1)

    def to_meta(self) -> dict[str, Any]:
        """Returns counters and generator states as JSON values."""
        return {
            "iteration": self.iteration,
            "updates": self.updates,
            "seed": self.seed,
            "reward_abs_max": self.reward_abs_max,
            **{name: getattr(self, name).bit_generator.state for name in _RNGS},
        }

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Loads what `to_meta` returned.

        Raises:
            ValueError: If a counter or a generator state is missing or invalid.
        """
        counters = {
            name: checks.integer(name, meta.get(name), 0, checks.LARGEST_COUNT)
            for name in ("iteration", "updates", "seed")
        }
        reward_abs_max = checks.number(
            "reward_abs_max", meta.get("reward_abs_max"), minimum=0.0
        )
        for name in _RNGS:
            try:
                getattr(self, name).bit_generator.state = meta[name]
            except (KeyError, TypeError, OverflowError, ValueError) as error:
                raise ValueError(
                    f"`{name}` must be the state of a NumPy generator: {error}"
                ) from None
        self.iteration, self.updates, self.seed = counters.values()
        self.reward_abs_max = reward_abs_max


def fit_seed(seed: int, number: int) -> int:
    """Returns the seed for the call of `fit` with this number, counted from 0.

    For number 0 it is `seed` itself. For later calls it is derived from `seed` and
    `number`, from 0 to 2**31 - 1 like `Settings.seed`.
    """
    if number == 0:
        return seed
    key = (_STREAMS + 1, number)  # `envs_seed` uses the key `_STREAMS`
    stream = np.random.SeedSequence(seed, spawn_key=key)
    return int(stream.generate_state(1)[0] >> 1)
