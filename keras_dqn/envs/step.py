"""What every vector of environments looks like to the rest of the library.

`n` games run side by side. `reset` starts them, `send` hands over one action
per game, `recv` waits for the outcome. Between `send` and `recv` the caller is
free to train while the games run. A game that ends starts again within the same
step, so that every step yields `n` transitions.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any
from typing import Self

import numpy as np

from keras_dqn import checks


class EnvFault(RuntimeError):
    """An environment failed, or returned what no run can use.

    The message names the environment and the step of its episode. If the
    environment raised, that exception is the `__cause__`.
    """


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """One finished episode, as a player sees it.

    Attributes:
        env_index: Which of the environments it was played in.
        score: Sum of the raw (unclipped) rewards.
        length: Agent steps.
        lives: Lives left when it ended: 0 at game over, -1 where the
            environment has no lives.
        truncated: Whether a time limit ended it.
        final_frame: uint8 array, the newest frame that the agent saw before the
            action that ended the episode; `(84, 84)` for Atari, the image for
            environments that show one, else `None`. A copy of its own.
    """

    env_index: int
    score: float
    length: int
    lives: int
    truncated: bool
    final_frame: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """The outcome of one action in each of `n` environments.

    The arrays belong to the receiver: no later step writes to them.

    Attributes:
        observations: Array, shape `(n, *stored_shape)`: what to act on next.
            After a restart, the first observation of the new episode.
        rewards: float32 array, shape `(n,)`, raw.
        training_rewards: float32 array, shape `(n,)`: the sign of the raw reward
            if rewards are clipped, else the raw reward.
        terminated: bool array, shape `(n,)`: nothing follows, so do not
            bootstrap. A lost life counts if `life_loss` says so.
        truncated: bool array, shape `(n,)`: cut by a time limit; bootstrap from
            `final_observations`. Never true together with `terminated`.
        restarted: bool array, shape `(n,)`: `observations[i]` begins a new
            episode. A restart is always terminated or truncated; with
            `life_loss="terminal"` a lost life is terminated without a restart.
        final_observations: Array like `observations`: the true successor of the
            action. Equals `observations` where nothing restarted, and may be
            the same array if nothing restarted at all.
        episodes: The `Episode` records of the episodes that ended, in the order
            of `env_index`.
    """

    observations: np.ndarray
    rewards: np.ndarray
    training_rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    restarted: np.ndarray
    final_observations: np.ndarray
    episodes: tuple[Episode, ...]


def game_seeds(seed: int | None, num_envs: int) -> np.ndarray:
    """Derives one seed per game from the seed of a run.

    Consecutive seeds (`seed + i`) would make run 1 repeat all but one of the
    games of run 0. Hashed ones do not overlap, but for a chance of 1 in 2**31 per
    pair of games.

    Args:
        seed: Non-negative integer, NumPy integers included, or `None` for
            fresh entropy.
        num_envs: Integer, the number of games.

    Returns:
        int64 array, shape `(num_envs,)`, each at least 0 and less than 2**31.
        Fewer games get the first seeds of more games.
    """
    if seed is not None:
        seed = checks.integer("seed", seed, minimum=0)
    words = np.random.SeedSequence(seed).generate_state(num_envs, np.uint32)
    return (words >> 1).astype(np.int64)


class VectorEnvs(abc.ABC):
    """Base of `AtariEnvs` and `GymnasiumEnvs`: `n` environments in step.

    Attributes:
        env_id: String, the canonical name, such as `"ALE/Breakout"`.
        num_envs: Integer, `n`.
        num_actions: Integer; actions are `0 ... num_actions - 1`.
        action_meanings: Tuple of strings, or `None` where actions have no names.
        observation_shape: Tuple, what the network sees: `(84, 84, 4)` for Atari.
        observation_dtype: `np.dtype` of the observations.
        stored_shape: Tuple, the shape of one element of `Step.observations`:
            `(4, 84, 84)` for Atari, oldest frame first; elsewhere
            `observation_shape`.
        frame_stack: Integer, the number of frames along `stored_shape[0]`, or 0
            where observations are not stacks.
        options: Dict of every resolved option, made of JSON types.
        recipe: Tuple of the `env` and a dict of the keywords with which `make_envs`
            makes more of the same.
        calls: Integer, how often a call that could block (`reset`, `recv`, `close`)
            was entered or left: odd while one is under way.
    """

    env_id: str
    num_actions: int
    action_meanings: tuple[str, ...] | None = None
    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype
    stored_shape: tuple[int, ...]
    frame_stack: int = 0
    options: dict[str, Any]
    recipe: tuple[Any, dict[str, Any]]

    def __init__(self, num_envs: int, seed: int | None) -> None:
        self.num_envs = checks.integer("num_envs", num_envs, minimum=1)
        if seed is not None:
            seed = checks.integer("seed", seed, minimum=0)
        self._seed = seed
        self.calls = 0
        self._state = "unset"
        self._scores = np.zeros(self.num_envs, np.float64)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._frames = None

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Starts every game anew; a used object is then as good as a fresh one.

        Args:
            seed: Non-negative integer that decides all chance in the games.
                Without it, the seed given at construction decides (so that two
                resets start the same games), and without that one, the
                operating system.

        Returns:
            Array, shape `(n, *stored_shape)`.
        """
        self.check_open()
        seeds = game_seeds(self._seed if seed is None else seed, self.num_envs)
        self._state = "unset"
        observations = self._call(self._reset, seeds)
        self._scores[:] = 0.0
        self._lengths[:] = 0
        self._frames = self._newest_frames(observations)
        self._state = "ready"
        return observations

    def send(self, actions: np.ndarray | Sequence[Any]) -> None:
        """Hands over one action per environment and returns at once.

        Args:
            actions: Integer array or sequence, shape `(n,)`, each
                `0 ... num_actions - 1`. Checked before any environment sees one:
                ALE hangs for ever on an action that it does not know.
        """
        self.check_open()
        if self._state == "sent":
            raise RuntimeError("`send` was called twice. Call `recv` in between.")
        if self._state == "unset":
            raise RuntimeError("Call `reset` before `send`.")
        actions = self._check_actions(actions)
        self._state = "unset"
        self._send(actions)
        self._state = "sent"

    def recv(self) -> Step:
        """Waits for the outcome of the actions that were sent.

        After an error the environments must be `reset` before they go on.

        Returns:
            A `Step`.

        Raises:
            EnvFault: If an environment failed, or returned what is not finite or
                not of the declared shape and dtype.
        """
        self.check_open()
        if self._state != "sent":
            raise RuntimeError("Nothing to receive. Call `send` before `recv`.")
        self._state = "unset"
        step = self._call(self._recv)
        self._state = "ready"
        return step

    def step(self, actions: np.ndarray | Sequence[Any]) -> Step:
        """`send` followed by `recv`. See both."""
        self.send(actions)
        return self.recv()

    def close(self) -> None:
        """Ends the games and frees what they hold. A second call does nothing."""
        if self._state != "closed":
            self._state = "closed"
            self._call(self._close)

    def __enter__(self) -> Self:
        self.check_open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.env_id} x {self.num_envs}>"

    @abc.abstractmethod
    def _reset(self, seeds):
        """Restarts all games with `seeds`, even if actions were sent and nothing
        was received; returns the observations."""

    @abc.abstractmethod
    def _send(self, actions):
        """Takes checked actions, int64 `(n,)`, an array of its own."""

    @abc.abstractmethod
    def _recv(self):
        """Returns `self._finish(...)`."""

    @abc.abstractmethod
    def _close(self):
        """Frees everything. Called once."""

    @abc.abstractmethod
    def _newest_frames(self, observations):
        """Returns the newest frame of each observation as a copy, or `None`."""

    def _finish(self, *, lives, out_of_time, **fields):
        """Counts scores and lengths, and makes the `Step`."""
        restarted = fields["restarted"]
        self._scores += fields["rewards"]
        self._lengths += 1
        episodes = tuple(
            Episode(
                env_index=int(i),
                score=float(self._scores[i]),
                length=int(self._lengths[i]),
                lives=int(lives[i]),
                truncated=bool(out_of_time[i]),
                final_frame=None if self._frames is None else self._frames[i].copy(),
            )
            for i in np.flatnonzero(restarted)
        )
        self._scores[restarted] = 0.0
        self._lengths[restarted] = 0
        self._frames = self._newest_frames(fields["observations"])
        return Step(episodes=episodes, **fields)

    def _call(self, function, *arguments):
        """Calls what may block, where a watchdog can see it."""
        self.calls += 1
        try:
            return function(*arguments)
        finally:
            self.calls += 1

    def check_open(self) -> None:
        """Raises a `RuntimeError` if they are closed."""
        if self._state == "closed":
            raise RuntimeError(f"{self!r} is closed. Make a new one.")

    def _check_actions(self, actions):
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu":
            raise ValueError(
                "`actions` must be integers of shape `(num_envs,)` = "
                f"{(self.num_envs,)}. Received: actions.shape={array.shape}, "
                f"actions.dtype={array.dtype}"
            )
        if array.min() < 0 or array.max() >= self.num_actions:
            raise ValueError(
                f"`actions` must be at least 0 and less than {self.num_actions}. "
                f"Received: actions={array.tolist()}"
            )
        return array.astype(np.int64)
