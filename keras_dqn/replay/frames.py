"""A ring of frames: each frame is stored once, and stacks are rebuilt on demand.

With stacks of 4 frames, storing both `observations` and `next_observations` would
store each frame 8 times. Here every environment has one row of frames in order of
time, and both stacks of a transition are windows of that row:

    observations of step t         frames t-3, t-2, t-1, t
    next_observations of step t    frames      t-2, t-1, t, t+1

Two corrections are made when a window is copied:

- Frames from before the start of the episode are set to zero. So the first stack of an
  episode is zeros followed by the first frame.
- If the environment restarted after step t, frame t+1 of the row is the first frame of
  the next episode. It is replaced by the last frame of the old episode, which
  `FinalFrames` stores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn.replay import checks
from keras_dqn.replay.final_frames import FinalFrames


class FrameRing:
    """The observations of the last `steps` steps of several environments.

    Steps are numbered from 0 (`time`), and all environments step together.
    Transition `time * num_envs + env` is in slot `transition % capacity`, where
    `capacity = steps * num_envs`, until a later transition overwrites it.

    Args:
        steps: Integer, the number of steps kept of each environment.
        num_envs: Integer, the number of environments.
        stored_shape: Tuple, the shape of one observation as it is stored. With
            `frame_stack`, its first axis is the stack, oldest frame first.
        dtype: The observations' dtype: boolean, integer or float.
        frame_stack: Integer, the number of frames in a stack. 0: observations are
            not stacks, and each one is stored as one frame.
    """

    def __init__(
        self,
        steps: int,
        num_envs: int,
        stored_shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        frame_stack: int,
    ) -> None:
        self.steps = steps
        self.num_envs = num_envs
        self.capacity = steps * num_envs
        self.stored_shape = stored_shape
        self.dtype = np.dtype(dtype)
        self.frame_stack = frame_stack
        self.depth = max(frame_stack, 1)  # frames in one observation
        self.frame_shape = stored_shape[1:] if frame_stack else stored_shape
        # The oldest stack begins `depth - 1` frames before the oldest step, and the
        # newest step needs the frame after it.
        self.columns = steps + self.depth
        # The first columns are repeated after the last one, so that a window of up to
        # `depth + 1` frames is always contiguous. Pages of zeros use no memory until
        # they are written to.
        self._rows = np.zeros(
            (num_envs, self.columns + self.depth, *self.frame_shape), dtype
        )
        self.frames = self._rows[:, : self.columns]
        # Window length to a view of all windows of that many frames.
        self._windows: dict[int, np.ndarray] = {}

        self.time = 0  # the number of the next step
        self.is_started = False
        # Steps since the episode began, at most `depth - 1`.
        self.age = np.zeros(num_envs, np.uint8)  # at the next step, by environment
        self.ages = np.zeros(self.capacity, np.uint8)  # at the stored steps, by slot
        # Whether the episode ended with the step, by slot.
        self.ended = np.zeros(self.capacity, np.bool_)
        self.finals = FinalFrames(self.frame_shape, self.dtype)
        self.mirror: Any = None  # optional `Mirror`, which copies every frame

    @property
    def nbytes(self) -> int:
        """Bytes allocated, including parts that are not written yet."""
        flags = self.ages.nbytes + self.ended.nbytes
        return self._rows.nbytes + flags + self.finals.nbytes

    @staticmethod
    def nbytes_when_full(
        steps: int,
        num_envs: int,
        stored_shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        frame_stack: int,
    ) -> int:
        """Returns how many bytes a full ring needs, without making one."""
        depth = max(frame_stack, 1)
        frame_shape = stored_shape[1:] if frame_stack else stored_shape
        frame_nbytes = math.prod(frame_shape) * np.dtype(dtype).itemsize
        frames = num_envs * (steps + 2 * depth) * frame_nbytes
        flags = 2 * steps * num_envs
        # An estimate: one transition in 20 ends an episode, and its frame is
        # compressed to an eighth (in Breakout to a twentieth), plus 200 bytes.
        final_frames = steps * num_envs // 20 * (frame_nbytes // 8 + 200)
        return frames + flags + final_frames

    def check_start(self, observations: np.ndarray, envs: Iterable[int]) -> None:
        """Raises `ValueError` unless the older frames of first stacks are zeros."""
        for env in envs if self.frame_stack else ():
            if observations[env, :-1].any():
                raise ValueError(
                    "In the first stack of an episode, all frames before the newest "
                    "must be zeros: the replay does not store them. Received: other "
                    f"frames from environment {env}"
                )

    def check_step(
        self,
        observations: np.ndarray,
        final_observations: np.ndarray,
        restarted: np.ndarray,
    ) -> None:
        """Raises `ValueError` unless each stack continues the stack before it."""
        self.check_start(observations, restarted.nonzero()[0])
        if self.frame_stack < 2:
            return
        any_restarted = any(restarted.tolist())
        successors = final_observations if any_restarted else observations
        newest = self.frames[:, self.time % self.columns]
        if successors[:, -2].tobytes() == newest.tobytes():  # the fastest comparison
            return
        differs = (successors[:, -2] != newest).reshape(self.num_envs, -1).any(axis=1)
        if differs.any():
            raise ValueError(
                "A stack must continue the stack before it: its second newest frame "
                "must be the newest frame of that stack. Received: another frame "
                f"from environment {np.flatnonzero(differs)[0]}"
            )

    def start(self, observations: np.ndarray) -> None:
        """Begins an episode in every environment; truncates running episodes."""
        if self.time:
            slots = self.slots(self.time - 1)
            successors = self.frames[:, self.time % self.columns]
            for env in np.flatnonzero(~self.ended[slots]):
                self._end(slots.start + int(env), successors[env])
        self.age[:] = 0
        self.is_started = True
        self._write_newest(observations)

    def push(
        self,
        observations: np.ndarray,
        final_observations: np.ndarray,
        restarted: np.ndarray,
    ) -> None:
        """Stores the results of one step: the new frames, and which episodes ended."""
        slots = self.slots(self.time)
        if any(self.ended[slots].tolist()):
            for env in np.flatnonzero(self.ended[slots]):
                self._forget_end(slots.start + int(env))
        self.ages[slots] = self.age
        self.ended[slots] = restarted
        self.age += self.age < self.depth - 1
        if any(restarted.tolist()):
            self.age[restarted] = 0
            for env in np.flatnonzero(restarted):
                final_frame = self._newest(final_observations)[env]
                self._end(slots.start + int(env), final_frame)
        self.time += 1
        self._write_newest(observations)

    def gather(self, transitions: np.ndarray, first: int, last: int) -> np.ndarray:
        """Returns windows of frames, corrected at the start and end of episodes.

        Args:
            transitions: Integer array, shape `(n,)`, numbers of stored transitions.
            first: Integer, the first frame of the window. Frame 0 is the newest of
                the transition's observation, and -1 the one before it.
            last: Integer, the last frame. Frame 1 is the one after the action.

        Returns:
            Array `(n, last - first + 1, *frame_shape)`, a copy.
        """
        times = transitions // self.num_envs
        envs = transitions - times * self.num_envs
        starts = envs * self._rows.shape[1] + (times + first) % self.columns
        windows = self._windows_of(last - first + 1)[starts]
        windows = windows.reshape(len(starts), -1, *self.frame_shape)
        slots = transitions % self.capacity
        ages = self.ages.take(slots)
        for i in (ages < -first).nonzero()[0].tolist():
            windows[i, : -first - int(ages[i])] = 0
        if last == 1:
            for i in self.ended.take(slots).nonzero()[0].tolist():
                windows[i, -1] = self.finals.get(int(slots[i]))
        return windows

    def slots(self, time: int) -> slice:
        """Returns the slots of step number `time`, as a slice."""
        first = time % self.steps * self.num_envs
        return slice(first, first + self.num_envs)

    def _windows_of(self, length):
        """Returns all windows of `length` frames: a view, `(n, length * size)`."""
        if length not in self._windows:
            # One contiguous copy per window is faster than one per frame.
            size = math.prod(self.frame_shape)
            flat = self._rows.reshape(-1)
            self._windows[length] = np.lib.stride_tricks.as_strided(
                flat,
                shape=(len(flat) // size - length + 1, length * size),
                strides=(size * flat.itemsize, flat.itemsize),
                writeable=False,
            )
        return self._windows[length]

    def _end(self, slot, final_frame):
        self.ended[slot] = True
        self.finals.put(slot, final_frame)
        if self.mirror is not None:
            self.mirror.put_final(slot, final_frame)

    def _forget_end(self, slot):
        self.finals.drop(slot)
        if self.mirror is not None:
            self.mirror.drop_final(slot)

    def _newest(self, observations):
        return observations[:, -1] if self.frame_stack else observations

    def _write_newest(self, observations):
        column = self.time % self.columns
        self.frames[:, column] = self._newest(observations)
        if column < self.depth:
            self._rows[:, self.columns + column] = self.frames[:, column]
        if self.mirror is not None:
            self.mirror.write(column)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns everything as arrays by name. `frames` is a view, not a copy."""
        used = min(self.time, self.steps) * self.num_envs
        written = min(self.time + 1, self.columns) if self.is_started else 0
        return {
            "time": np.array(self.time, np.int64),
            "is_started": np.array(self.is_started),
            "age": self.age.copy(),
            "ages": self.ages[:used].copy(),
            "ended": self.ended[:used].copy(),
            "frames": self.frames[:, :written],
            **self.finals.state_dict(),
        }

    def state_spec(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Returns `(dtype, shape)` by name: the largest arrays that a state may have.

        A file with larger arrays is refused before memory is allocated for them.
        """
        frame_nbytes = math.prod(self.frame_shape) * self.dtype.itemsize
        # zlib adds a few bytes to data that it cannot compress.
        final_nbytes = self.capacity * (frame_nbytes + frame_nbytes // 1000 + 64)
        slots = (self.capacity,)
        return {
            "time": (np.int64, ()),
            "is_started": (np.bool_, ()),
            "age": (np.uint8, (self.num_envs,)),
            "ages": (np.uint8, slots),
            "ended": (np.bool_, slots),
            "frames": (self.dtype, self.frames.shape),
            "final_slots": (np.int64, slots),
            "final_sizes": (np.int64, slots),
            "final_bytes": (np.uint8, (final_nbytes,)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state that `check_state` has checked."""
        frames = state["frames"]
        target = self.frames[:, : frames.shape[1]]
        if isinstance(frames, np.ndarray):
            target[:] = frames
        else:  # reads files without a second copy in memory
            frames.read_into(target)
        self.time = int(state["time"])
        self.is_started = bool(state["is_started"])
        self.age[:] = state["age"]
        self.ages[: len(state["ages"])] = state["ages"]
        self.ended[: len(state["ended"])] = state["ended"]
        self.ended[len(state["ended"]) :] = False
        self._rows[:, self.columns :] = self.frames[:, : self.depth]
        self.finals.load_state_dict(state)
        if self.mirror is not None:
            self.mirror.write_all()

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raises `ValueError` if `state` is not a valid state of this ring."""
        checks.check_state_array(state, "time", (), np.int64)
        checks.check_state_array(state, "is_started", (), np.bool_)
        time, is_started = int(state["time"]), bool(state["is_started"])
        if time < 0 or (time and not is_started):
            raise ValueError(
                "`time` must be at least 0, and 0 while `is_started` is false. "
                f"Received: time={time}, is_started={is_started}"
            )
        used = min(time, self.steps) * self.num_envs
        written = min(time + 1, self.columns) if is_started else 0
        frames_shape = (self.num_envs, written, *self.frame_shape)
        checks.check_state_array(state, "age", (self.num_envs,), np.uint8)
        checks.check_state_array(state, "ages", (used,), np.uint8)
        checks.check_state_array(state, "ended", (used,), np.bool_)
        checks.check_state_array(state, "frames", frames_shape, self.dtype)
        self._check_ages(state, time)
        self.finals.check_state(state)

    def _check_ages(self, state, time):
        rows = min(time, self.steps)
        in_order = np.arange(time - rows, time) % self.steps
        ages = state["ages"].reshape(rows, self.num_envs)[in_order]
        ended = state["ended"].reshape(rows, self.num_envs)[in_order]
        ages = np.concatenate([ages, state["age"][None]]).astype(np.int64)
        older = np.minimum(ages[:-1] + 1, self.depth - 1)
        is_good = np.array_equal(ages[1:], np.where(ended, 0, older))
        if not is_good or (time <= self.steps and ages[0].any()):
            raise ValueError("`ages` must count the steps since the episode began.")
