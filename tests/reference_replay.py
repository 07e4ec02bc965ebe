"""Slow twins of the replay, in plain Python, and a world in which mistakes show.

Each twin does what it says in the most direct way, with whole copies and exact
sums, so that it can be checked by reading.
"""

import fractions
import types

import numpy as np


class NaiveTree:
    """A list of leaves: sums are exact, searches walk from the left."""

    def __init__(self, capacity):
        self.leaves = [0.0] * capacity

    def set(self, indices, values):
        for index, value in zip(indices, values, strict=True):
            self.leaves[index] = value

    def total(self):
        return sum(map(fractions.Fraction, self.leaves), fractions.Fraction(0))

    def min(self):
        return min((leaf for leaf in self.leaves if leaf > 0.0), default=np.inf)

    def borders(self):
        """The sums of the leaves before each leaf, and the total, exactly."""
        borders = [fractions.Fraction(0)]
        for leaf in self.leaves:
            borders.append(borders[-1] + fractions.Fraction(leaf))
        return borders

    def find(self, point):
        """The leaf with `before <= point < before + leaf`; the last one at the end."""
        if not 0 <= point <= self.total():
            raise ValueError(point)
        borders = self.borders()
        for index, leaf in enumerate(self.leaves):
            if leaf > 0.0 and borders[index] <= point < borders[index + 1]:
                return index
        return max(index for index, leaf in enumerate(self.leaves) if leaf > 0.0)


class World:
    """Environments that do what a test says. Every frame tells what it is.

    A frame holds `(env + 1, game % 251, frame in the game)`. It is never all zeros,
    as what comes before a game is.
    """

    frame_shape = (1, 3)

    def __init__(self, num_envs, frame_stack):
        self.num_envs = num_envs
        self.frame_stack = frame_stack
        self.dtype = np.dtype(np.uint8)
        self.games = [-1] * num_envs
        self.clocks = [0] * num_envs
        self.stacks = [None] * num_envs

    @property
    def spec(self):
        stack = (self.frame_stack,) if self.frame_stack else ()
        return {
            "num_envs": self.num_envs,
            "stored_shape": stack + self.frame_shape,
            "dtype": self.dtype,
            "frame_stack": self.frame_stack,
        }

    def reset(self):
        for env in range(self.num_envs):
            self._begin(env)
        return self.observations()

    def observations(self):
        return np.stack(self.stacks)

    def step(self, terminated=(), truncated=(), restarted=(), rewards=None):
        """A step in which these environments (numbers) end or restart."""
        is_in = [
            np.array([env in chosen for env in range(self.num_envs)])
            for chosen in (terminated, truncated, restarted)
        ]
        for env in range(self.num_envs):
            self.clocks[env] += 1
            self._show(env)
        final_observations = self.observations()
        for env in restarted:
            self._begin(env)
        if rewards is None:
            rewards = np.zeros(self.num_envs, np.float32)
        return types.SimpleNamespace(
            observations=self.observations(),
            training_rewards=np.asarray(rewards, np.float32),
            terminated=is_in[0],
            truncated=is_in[1],
            restarted=is_in[2],
            final_observations=final_observations,
        )

    def end(self, env, rewards=None):
        """A step in which one environment terminates and restarts."""
        return self.step(terminated=[env], restarted=[env], rewards=rewards)

    def _begin(self, env):
        self.games[env] += 1
        self.clocks[env] = 0
        self.stacks[env] = np.zeros(self.spec["stored_shape"], self.dtype)
        self._show(env)

    def _show(self, env):
        frame = [[env + 1, self.games[env] % 251, self.clocks[env] % 256]]
        if self.frame_stack:
            older = self.stacks[env][1:]
            self.stacks[env] = np.concatenate([older, [frame]]).astype(self.dtype)
        else:
            self.stacks[env] = np.array(frame, self.dtype)


class NaiveReplay:
    """Keeps every transition whole, forever, in one list of episodes per env."""

    def __init__(self, capacity, num_envs, gamma, n_steps):
        self.capacity = capacity
        self.num_envs = num_envs
        self.gamma = gamma
        self.n_steps = n_steps
        self.episodes = [[] for _ in range(num_envs)]
        self.where = []  # by transition: its episode (a list), and its place there
        self.observations = None

    def start(self, observations):
        self.observations = observations.copy()
        for episodes in self.episodes:
            episodes.append([])

    def add(self, actions, step):
        for env, episodes in enumerate(self.episodes):
            self.where.append((episodes[-1], len(episodes[-1])))
            transition = types.SimpleNamespace(
                observation=self.observations[env].copy(),
                action=int(actions[env]),
                reward=float(step.training_rewards[env]),
                terminated=bool(step.terminated[env]),
                next_observation=step.final_observations[env].copy(),
            )
            episodes[-1].append(transition)
            if step.terminated[env] or step.restarted[env]:
                episodes.append([])
        self.observations = step.observations.copy()

    def complete(self):
        """The numbers of all transitions that may be sampled."""
        first = max(0, len(self.where) - self.capacity)
        return range(first, len(self.where) - (self.n_steps - 1) * self.num_envs)

    def expected(self, number):
        """What sampling this transition must give."""
        episode, place = self.where[number]
        seen = episode[place : place + self.n_steps]
        terminated = seen[-1].terminated
        return {
            "observations": seen[0].observation,
            "actions": seen[0].action,
            "rewards": sum(self.gamma**k * each.reward for k, each in enumerate(seen)),
            "discounts": 0.0 if terminated else self.gamma ** len(seen),
            "next_observations": seen[-1].next_observation,
        }


def check_batch(batch, ids, naive):
    """Asserts that a batch is what the naive replay says of these transitions."""
    for i, number in enumerate(ids):
        expected = naive.expected(int(number))
        for name in ("observations", "actions", "next_observations"):
            np.testing.assert_array_equal(batch[name][i], expected[name], name)
        for name in ("rewards", "discounts"):
            np.testing.assert_allclose(batch[name][i], expected[name], rtol=1e-6)


class HostFrames:
    """The same as `DeviceFrames`, in NumPy.

    Args:
        rows: Integer, the frames of the ring and the one of zeros, which is last.
        frame_shape: Tuple.
        dtype: The frames' dtype.
    """

    def __init__(self, rows, frame_shape, dtype):
        self.frames = np.zeros((rows, *frame_shape), dtype)
        self.finals = np.zeros((1, *frame_shape), dtype)

    def write(self, rows, frames):
        """Takes frames of the ring.

        Args:
            rows: int32 array, shape `(n,)`, their numbers. `n` never changes.
            frames: Array `(n, *frame_shape)`.
        """
        self.frames[rows] = frames

    def write_final(self, row, frame):
        """Takes a final frame.

        Args:
            row: Integer, its row in the table.
            frame: Array `frame_shape`.
        """
        self.finals[row] = frame

    def grow_finals(self, rows):
        """Makes the table of final frames `rows` long; what is in it stays."""
        finals = np.zeros((rows, *self.finals.shape[1:]), self.finals.dtype)
        finals[: len(self.finals)] = self.finals
        self.finals = finals

    def gather(self, numbers):
        """Returns the frames with these numbers.

        Args:
            numbers: int32 array of any shape.

        Returns:
            Array `(*numbers.shape, *frame_shape)`.
        """
        count = len(self.frames)
        frames = self.frames[np.minimum(numbers, count - 1)]
        finals = self.finals[np.maximum(numbers - count, 0)]
        is_final = numbers >= count
        is_final = is_final.reshape(is_final.shape + (1,) * (self.frames.ndim - 1))
        return np.where(is_final, finals, frames)
