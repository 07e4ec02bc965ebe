"""Where the transitions come from that a replay is filled with.

Each source has `num_envs`, `stored_shape`, `reset() -> observations` and
`step(actions) -> Step`, as vector environments do.
"""

import numpy as np

from keras_dqn.envs import Step


class RecordedGame:
    """Feeds the recorded steps of another source round and round.

    Where the record begins again the caller must `start` the replay again: the
    frames do not join. `is_over` says so.

    Args:
        envs: A source.
        steps: Integer, vector steps to record.
        rng: `numpy.random.Generator` of the random actions.
    """

    def __init__(self, envs, steps, rng):
        self.num_envs = envs.num_envs
        self.stored_shape = envs.stored_shape
        self._first = envs.reset()
        self._steps = [envs.step(random_actions(envs, rng)) for _ in range(steps)]
        self._position = 0

    @property
    def is_over(self):
        """Whether all was fed, and `reset` is due."""
        return self._position == len(self._steps)

    def reset(self):
        """Goes back to the beginning. Returns the first observations."""
        self._position = 0
        return self._first

    def step(self, actions):
        """Returns the next recorded step, whatever the actions."""
        step = self._steps[self._position]
        self._position += 1
        return step


class Noise:
    """Random frames, stacked like those of a game; episodes never end.

    Args:
        num_envs: Integer.
        frame_shape: Tuple, the shape of a frame.
        frame_stack: Integer, frames in an observation.
        seed: Integer.
    """

    is_over = False
    num_actions = 4

    def __init__(self, num_envs=8, frame_shape=(84, 84), frame_stack=4, seed=0):
        self.num_envs = num_envs
        self.stored_shape = (frame_stack, *frame_shape)
        rng = np.random.default_rng(seed)
        self._pool = rng.integers(0, 256, (61, num_envs, *frame_shape), np.uint8)
        self._rewards = rng.normal(0.0, 1.0, (61, num_envs)).astype(np.float32)
        self._time = 0

    def reset(self):
        """Returns the first observations: zeros, and one frame."""
        stacks = np.zeros((self.num_envs, *self.stored_shape), np.uint8)
        stacks[:, -1] = self._pool[0]
        self._stacks = stacks
        return stacks

    def step(self, actions):
        """Returns the next `Step`, whatever the actions."""
        self._time += 1
        frames = self._pool[self._time % len(self._pool)]
        self._stacks = np.concatenate([self._stacks[:, 1:], frames[:, None]], axis=1)
        rewards = self._rewards[self._time % len(self._rewards)]
        nobody = np.zeros(self.num_envs, np.bool_)
        return Step(
            observations=self._stacks,
            rewards=rewards,
            training_rewards=rewards,
            terminated=nobody,
            truncated=nobody,
            restarted=nobody,
            final_observations=self._stacks,
            episodes=(),
        )


def random_actions(source, rng):
    """Returns a random action for each environment of a source."""
    return rng.integers(0, getattr(source, "num_actions", 4), source.num_envs)


def fill(replay, source, rng):
    """Fills a built replay to its capacity from a source that starts anew."""
    replay.start(source.reset())
    while not replay.is_full:
        if getattr(source, "is_over", False):
            replay.start(source.reset())
        actions = random_actions(source, rng)
        replay.add(actions, source.step(actions))


def build(replay, source):
    """Builds a replay for the stacks of frames of a source."""
    replay.build(
        num_envs=source.num_envs,
        stored_shape=source.stored_shape,
        dtype="uint8",
        frame_stack=source.stored_shape[0],
    )
