"""cpprb's prioritized replay, run by `replay_speed.py` in its own environment.

Its best configuration for stacks of frames: the next observation is not stored but
looked up (`next_of`), and overlapping frames are stored once (`stack_compress`,
which wants the stack last).
"""

import importlib.metadata
import time

import children
import numpy as np


class Peer:
    """A full `cpprb.PrioritizedReplayBuffer`, and what is timed of it."""

    def fill(self, capacity, frame_shape, batch_size):
        """Makes a buffer of this capacity and fills it. Returns nothing of note."""
        import cpprb

        self._buffer = None  # the old one's memory is needed
        self._batch_size = batch_size
        rng = np.random.default_rng(0)
        pool = rng.integers(0, 256, (*frame_shape, 64), np.uint8)
        self._stacks = [
            np.ascontiguousarray(pool[..., i : i + 4])
            for i in range(pool.shape[-1] - 4)
        ]
        self._buffer = cpprb.PrioritizedReplayBuffer(
            capacity,
            {
                "obs": {"shape": (*frame_shape, 4), "dtype": np.uint8},
                "act": {"dtype": np.int32},
                "rew": {},
                "done": {},
            },
            next_of="obs",
            stack_compress="obs",
            alpha=0.6,
            eps=1e-6,
        )
        while self._buffer.get_stored_size() < capacity:
            self._play(len(self._stacks) - 1)
        self._td_errors = np.abs(rng.normal(size=batch_size))
        self.draw(3000)
        return {}

    def draw(self, repeats):
        """Returns seconds per minibatch: sample and write priorities back."""
        started = time.perf_counter()
        for _ in range(repeats):
            sample = self._buffer.sample(self._batch_size, beta=0.4)
            self._buffer.update_priorities(sample["indexes"], self._td_errors)
        return {"s": (time.perf_counter() - started) / repeats}

    def add(self, repeats=64):
        """Returns seconds per 8 transitions of one environment, one at a time."""
        count = min(8 * repeats, len(self._stacks) - 1)
        started = time.perf_counter()
        self._play(count)
        return {"s": (time.perf_counter() - started) / count * 8}

    def versions(self):
        names = ("cpprb", "numpy")
        return {name: importlib.metadata.version(name) for name in names}

    def _play(self, count):
        """Adds an episode."""
        for i in range(count):
            self._buffer.add(
                obs=self._stacks[i],
                act=1,
                rew=1.0,
                done=0.0,
                next_obs=self._stacks[i + 1],
            )
        self._buffer.on_episode_end()


if __name__ == "__main__":
    peer = Peer()
    children.serve(fill=peer.fill, draw=peer.draw, add=peer.add, versions=peer.versions)
