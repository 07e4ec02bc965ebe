"""Lets the training use a replay of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_dqn import interfaces
from keras_dqn.replay.base import Replay
from keras_dqn.replay.sample import Sample


class OwnReplay(Replay):
    """Gives an `interfaces.Replay` the rest of what an agent asks of a replay.

    Its transitions are not saved, and its frames cannot be kept on an accelerator.

    Args:
        own: `interfaces.Replay`. If it has attributes `gamma` and `n_steps`, they are
            shown as those of the run.
    """

    def __init__(self, own: interfaces.Replay) -> None:
        gamma, n_steps = getattr(own, "gamma", 0.99), getattr(own, "n_steps", 1)
        super().__init__(own.capacity, gamma=gamma, n_steps=n_steps)
        self.own = own

    @property
    def settings(self) -> dict[str, Any]:
        """See `Replay.settings`. The kind is not one of the known ones."""
        settings = super().settings
        del settings["replay_kind"]
        return settings

    def build(
        self,
        *,
        num_envs: int,
        stored_shape: Sequence[int],
        dtype: npt.DTypeLike,
        frame_stack: int = 0,
    ) -> None:
        """See `Replay.build`."""
        self.own.build(
            num_envs=num_envs,
            stored_shape=stored_shape,
            dtype=dtype,
            frame_stack=frame_stack,
        )

    def start(self, observations: np.ndarray) -> None:
        """See `Replay.start`."""
        self.own.start(observations)

    def add(self, actions: np.ndarray | Sequence[Any], step: Any) -> None:
        """See `Replay.add`."""
        self.own.add(np.asarray(actions), step)

    def sample(
        self,
        batch_size: int,
        rng: np.random.Generator,
        *,
        beta: float = 1.0,
        batches: int | None = None,
        frames: str = "stacks",
    ) -> Sample:
        """See `Replay.sample`. Several minibatches are sampled one after the other."""
        drawn = [
            self.own.sample(batch_size, rng, beta=beta) for _ in range(batches or 1)
        ]
        if batches is None:
            return drawn[0]
        batch = {
            name: np.stack([each.batch[name] for each in drawn])
            for name in drawn[0].batch
        }
        return Sample(batch, np.stack([each.ids for each in drawn]), drawn[-1].newest)

    def update_priorities(
        self, ids: np.ndarray | Sequence[Any], priorities: np.ndarray | Sequence[Any]
    ) -> None:
        """See `Replay.update_priorities`. One minibatch at a time."""
        ids, priorities = np.asarray(ids), np.asarray(priorities)
        length = ids.shape[-1]
        pairs = ids.reshape(-1, length), priorities.reshape(-1, length)
        for each, values in zip(*pairs, strict=True):
            self.own.update_priorities(each, values)

    def attach_frames(self, make_copy: Any) -> None:
        """Refuses to copy frames to an accelerator."""
        if make_copy is not None:
            raise ValueError(
                "`replay_device` must be 'host' with a replay of your own. "
                f"Received: replay={self.own!r}"
            )

    @property
    def attached_frames(self) -> None:
        return None

    @property
    def size(self) -> int:
        """The number of transitions stored."""
        return self.own.size

    @property
    def nbytes(self) -> int:
        """Bytes allocated, if the replay says so."""
        return getattr(self.own, "nbytes", 0)

    def nbytes_when_full(self, **spec: Any) -> int:
        """Bytes allocated, if the replay says so."""
        return self.nbytes

    def state_dict(self) -> dict[str, np.ndarray]:
        """Refuses: what a replay of one's own holds is not known."""
        raise ValueError(
            "A replay of your own is not saved. Write agent.save(path, replay=False). "
            f"Received: replay={self.own!r}"
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Refuses, see `state_dict`."""
        self.state_dict()
