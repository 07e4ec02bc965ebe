"""`VectorEnvs`: the interface of `n` environments that are played side by side.

`reset` starts them, `send` sends one action to each, and `recv` waits for the results.
Between `send` and `recv` the caller can train while the games run. When an episode
ends, the next one begins within the same step, so that every step yields `n`
transitions.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any
from typing import Self

import numpy as np

from keras_dqn import checks
from keras_dqn.envs.step import Episode
from keras_dqn.envs.step import Step


def game_seeds(seed: int | None, num_envs: int) -> np.ndarray:
    """Derives one seed per game from the seed of a run, by hashing.

    With `seed + i`, runs with neighboring seeds would share most of their games.
    The hashed seeds of two games are equal with a probability of 1 in 2**31.

    Args:
        seed: Integer, at least 0, or `None` for fresh entropy.
        num_envs: Integer, the number of games.

    Returns:
        int64 array, shape `(num_envs,)`, each at least 0 and less than 2**31.
        The first seeds do not depend on `num_envs`.
    """
    if seed is not None:
        seed = checks.integer("seed", seed, minimum=0)
    words = np.random.SeedSequence(seed).generate_state(num_envs, np.uint32)
    return (words >> 1).astype(np.int64)


class VectorEnvs(abc.ABC):
    """Base of `AtariEnvs` and `GymnasiumEnvs`: `n` environments, stepped together.

    Attributes:
        env_id: String, the canonical name, such as `"ALE/Breakout"`.
        num_envs: Integer, `n`.
        num_actions: Integer; actions are `0 ... num_actions - 1`.
        action_meanings: Tuple of strings, or `None` where actions have no names.
        observation_shape: Tuple, the shape of one input of the network:
            `(84, 84, 4)` for Atari.
        observation_dtype: `np.dtype` of the observations.
        observation_parts: What a `Dict` or `Tuple` observation is made of, see
            `Encoder.parts`, or `None`.
        stored_shape: Tuple, the shape of one element of `Step.observations`:
            `(4, 84, 84)` for Atari, oldest frame first; elsewhere
            `observation_shape`.
        frame_stack: Integer, the number of frames along `stored_shape[0]`, or 0
            where observations are not stacks.
        options: Dict of all options with their values, of JSON types.
        recipe: Tuple `(env, options)`: the argument and the dict of keyword arguments
            with which `make_envs` makes more environments of this kind.
        call: `None`; while `reset`, `recv` or `close` is running, an object unique to
            this call. If it stays the same for long, the call hangs (see `Watchdog`).
    """

    env_id: str
    num_actions: int
    action_meanings: tuple[str, ...] | None = None
    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype
    observation_parts: tuple[tuple[str | int, tuple[int, ...]], ...] | None = None
    stored_shape: tuple[int, ...]
    frame_stack: int = 0
    options: dict[str, Any]
    recipe: tuple[Any, dict[str, Any]]

    def __init__(self, num_envs: int, seed: int | None) -> None:
        self.num_envs = checks.integer("num_envs", num_envs, minimum=1)
        if seed is not None:
            seed = checks.integer("seed", seed, minimum=0)
        self._seed = seed
        self.call: object | None = None
        self._state = "needs reset"
        self._scores = np.zeros(self.num_envs, np.float64)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._frames = None

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Starts a new game in every environment, as if the environments were new.

        Args:
            seed: Integer, at least 0, that determines all randomness in the games.
                Default: the seed given to the constructor, so that every such reset
                starts the same games; if that is `None`, fresh entropy.

        Returns:
            Array of the observations, shape `(n, *stored_shape)`.

        Raises:
            RuntimeError: If the environments are closed.
            EnvFault: If an environment failed, or returned an invalid observation.
        """
        self.check_open()
        seeds = game_seeds(self._seed if seed is None else seed, self.num_envs)
        self._state = "needs reset"
        observations = self._call(self._reset, seeds)
        self._scores[:] = 0.0
        self._lengths[:] = 0
        self._frames = self._newest_frames(observations)
        self._state = "ready"
        return observations

    def send(self, actions: np.ndarray | Sequence[Any]) -> None:
        """Sends one action to each environment, and returns without waiting.

        Args:
            actions: Integer array or sequence, shape `(n,)`, each
                `0 ... num_actions - 1`.

        Raises:
            ValueError: If an action is out of range. Then none is sent: ALE would
                hang on an unknown action.
            RuntimeError: If the order of `reset`, `send` and `recv` is wrong.
        """
        self.check_open()
        if self._state == "sent":
            raise RuntimeError("`send` was called twice. Call `recv` in between.")
        if self._state == "needs reset":
            raise RuntimeError("Call `reset` before `send`.")
        actions = self._check_actions(actions)
        self._state = "needs reset"
        self._send(actions)
        self._state = "sent"

    def recv(self) -> Step:
        """Waits for the results of the actions that were sent.

        After an error, call `reset`.

        Returns:
            A `Step`.

        Raises:
            EnvFault: If an environment failed, or returned values that are not
                finite or not of the declared shape and dtype.
            RuntimeError: If `send` was not called before.
        """
        self.check_open()
        if self._state != "sent":
            raise RuntimeError("Nothing to receive. Call `send` before `recv`.")
        self._state = "needs reset"
        step = self._call(self._recv)
        self._state = "ready"
        return step

    def step(self, actions: np.ndarray | Sequence[Any]) -> Step:
        """Calls `send` and then `recv`. See both."""
        self.send(actions)
        return self.recv()

    def close(self) -> None:
        """Closes the environments. A second call does nothing."""
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
        """Restarts all games. It may be called between `_send` and `_recv`.

        Args:
            seeds: int64 array, shape `(n,)`.

        Returns:
            The observations, `(n, *stored_shape)`.
        """

    @abc.abstractmethod
    def _send(self, actions):
        """Starts a step with valid actions: a new int64 array, shape `(n,)`."""

    @abc.abstractmethod
    def _recv(self):
        """Waits for the step, and returns `self._finish(...)`."""

    @abc.abstractmethod
    def _close(self):
        """Closes the environments. Called once."""

    @abc.abstractmethod
    def _newest_frames(self, observations):
        """Returns the newest frame of each observation as a copy, or `None`."""

    def _finish(self, *, lives, out_of_time, **fields):
        """Adds up scores and lengths, and makes the `Step`.

        Args:
            lives: Integer array, `(n,)`, for the `Episode` records.
            out_of_time: Bool array, `(n,)`, whether a time limit ended the episode.
            **fields: All fields of `Step` except `episodes`.
        """
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
        """Calls a function that may block, and sets `call` while it runs."""
        self.call = object()
        try:
            return function(*arguments)
        finally:
            self.call = None

    def check_open(self) -> None:
        """Raises `RuntimeError` if the environments are closed."""
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
