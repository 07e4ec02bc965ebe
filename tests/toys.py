"""Small deterministic Gymnasium environments for the tests.

All of them are made without arguments, or by `functools.partial`, and differ
between seeds only where the docstring says so.
"""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces


class EchoEnv(gymnasium.Env):
    """Shows a symbol, rewards its repetition with 1.

    The observation is the symbol, one-hot, float32 `(symbols,)`; symbols are drawn
    with the seed of the environment. Solved by any agent that learns at all: the
    best score is `length`, a random one gets `length / symbols`.
    """

    def __init__(self, symbols=4, length=16, truncates=False):
        self.observation_space = spaces.Box(0.0, 1.0, (symbols,), np.float32)
        self.action_space = spaces.Discrete(symbols)
        self._length, self._truncates = length, truncates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._draw(), {}

    def step(self, action):
        reward = float(action == self._symbol)
        self._time += 1
        ended = self._time >= self._length
        observation = self._draw()
        terminated = ended and not self._truncates
        truncated = ended and self._truncates
        return observation, reward, terminated, truncated, {}

    def _draw(self):
        symbols = self.action_space.n
        self._symbol = int(self.np_random.integers(symbols))
        return np.eye(symbols, dtype=np.float32)[self._symbol]


class CountingEnv(gymnasium.Env):
    """Shows `[episode, time]`, float32; the reward is the time reached.

    No chance at all: the first episode of an environment is 0, and a seeded reset
    begins with 0 again. The rewards of an episode are 1, 2, ..., `length`.
    """

    def __init__(self, length=5, truncates=False, actions=2):
        self.observation_space = spaces.Box(0.0, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(actions)
        self._length, self._truncates = length, truncates
        self._episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._episode = 0 if seed is not None else self._episode + 1
        self._time = 0
        return self._observe(), {}

    def step(self, action):
        self._time += 1
        ended = self._time >= self._length
        terminated = ended and not self._truncates
        truncated = ended and self._truncates
        return self._observe(), float(self._time), terminated, truncated, {}

    def _observe(self):
        return np.float32([self._episode, self._time])


class ChainEnv(gymnasium.Env):
    """Rooms in a row: 0 goes left, 1 goes right; the last room pays 1 and ends.

    The observation is the room, `Discrete(rooms)`; the start is room 0. After
    `limit` steps the episode is truncated. From the start, the right way takes
    `rooms - 1` steps, so that Q is known: `gamma ** (rooms - 2 - room)` to the
    right. No chance.
    """

    def __init__(self, rooms=5, limit=50):
        self.observation_space = spaces.Discrete(rooms)
        self.action_space = spaces.Discrete(2)
        self._limit = limit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._room = self._time = 0
        return self._room, {}

    def step(self, action):
        last = int(self.observation_space.n) - 1
        self._time += 1
        self._room = int(np.clip(self._room + (1 if action else -1), 0, last))
        terminated = self._room == last
        truncated = self._time >= self._limit
        return self._room, float(terminated), terminated, truncated, {}


class ImageEnv(gymnasium.Env):
    """Shows a uint8 image, every pixel the time; ends after `length` steps."""

    def __init__(self, shape=(12, 12, 3), length=5):
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Discrete(3)
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._observe(), {}

    def step(self, action):
        self._time += 1
        return self._observe(), 1.0, self._time >= self._length, False, {}

    def _observe(self):
        return np.full(self.observation_space.shape, self._time, np.uint8)


class ScriptedEnv(CountingEnv):
    """A `CountingEnv` with parts of one step's outcome replaced.

    Args:
        at: Integer, the step of each episode (from 1) whose outcome is replaced.
        error: Exception that this step raises, or `None`.
        **outcome: Any of `observation`, `reward`, `terminated` and `truncated`.
    """

    def __init__(self, at=3, error=None, **outcome):
        super().__init__(length=5)
        self._at, self._error, self._outcome = at, error, outcome

    def step(self, action):
        fields = ["observation", "reward", "terminated", "truncated", "info"]
        values = dict(zip(fields, super().step(action), strict=True))
        if self._time == self._at:
            if self._error is not None:
                raise self._error
            values.update(self._outcome)
        return tuple(values.values())


def play(envs, steps, seed=0, reset_seed=0):
    """Random play; returns everything that came out, as a list of tuples."""
    rng = np.random.default_rng(seed)
    outcome = [envs.reset(reset_seed).copy()]
    for _ in range(steps):
        step = envs.step(rng.integers(envs.num_actions, size=envs.num_envs))
        outcome.append(
            (step.observations, step.rewards, step.terminated, step.restarted)
        )
    return outcome


def assert_same_games(one, other):
    np.testing.assert_array_equal(one[0], other[0])
    for a, b in zip(one[1:], other[1:], strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
