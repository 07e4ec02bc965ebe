"""The contents of a checkpoint: arrays in three parts, and other state as JSON."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn import training
from keras_dqn.config import Settings
from keras_dqn.run_state import RunState
from keras_dqn.runs.evaluations import Evaluations
from keras_dqn.runs.provenance import Provenance
from keras_dqn.system import files

if TYPE_CHECKING:
    from keras_dqn.agent import DQNAgent


class Snapshot:
    """Collects the state of a run for a checkpoint, and restores it.

    Args:
        settings: `Settings`.
        agent: Built `DQNAgent`.
        state: `run_state.RunState`.
        evaluations: `Evaluations`.
        provenance: `Provenance`.
    """

    def __init__(
        self,
        settings: Settings,
        agent: DQNAgent,
        state: RunState,
        evaluations: Evaluations,
        provenance: Provenance,
    ) -> None:
        self._settings = settings
        self._learner, self._replay = agent.learner, agent.replay
        self._state = state
        self._evaluations = evaluations
        self._provenance = provenance

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint is scheduled before the next iteration."""
        return training.is_checkpoint_due(self._settings, self._state)

    @property
    def nbytes_when_full(self) -> int:
        """Approximate size of a checkpoint in bytes when the replay is full."""
        learner = self._learner
        owners = (learner.network, learner.target_network, learner.optimizer)
        lengths = [math.prod(each.shape) for own in owners for each in own.variables]
        return self._replay.nbytes + 4 * sum(lengths)

    def parts(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns the arrays by part and name.

        Raises:
            FloatingPointError: If a weight is NaN or infinite.
        """
        parts = {
            "learner": self._learner.state_dict(),
            "replay": self._replay.state_dict(),
            "episodes": self._state.statistics.state_dict(),
        }
        check_finite(parts["learner"])
        return parts

    def spec(self) -> dict[str, Mapping[str, Any]]:
        """Returns `(dtype, largest shape)` of the arrays by part and name."""
        learner = self._learner.state_dict()
        return {
            "learner": {name: (a.dtype, a.shape) for name, a in learner.items()},
            "replay": self._replay.state_spec(),
            "episodes": self._state.statistics.state_spec(),
        }

    def meta(self) -> dict[str, Any]:
        """Returns counters, settings, scores and provenance as JSON values."""
        return {
            "run": self._state.to_meta(),
            "settings": self._settings.to_dict(),
            **self._evaluations.to_meta(),
            **self._provenance.to_meta(self.is_due),
        }

    def goes_on_exactly(self, meta: Mapping[str, Any]) -> bool:
        """Whether the run goes on from a checkpoint as if it had never stopped.

        If it has ended there, it does: nothing is left to train.

        Args:
            meta: Dictionary of the checkpoint.
        """
        if meta.get("exact"):
            return True
        try:
            is_over = meta["run"]["iteration"] >= self._settings.iterations
            target = self._settings.stop_at_score
            return is_over or (target is not None and meta["last_score"] >= target)
        except (KeyError, TypeError):  # a damaged file
            return False

    def restore(
        self, parts: Mapping[str, Any], meta: Mapping[str, Any], exact: bool
    ) -> list[str]:
        """Restores what `parts` and `meta` returned.

        Args:
            parts, meta: See above.
            exact: Boolean, see `Provenance.check`.

        Returns:
            List of strings to log.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: If the checkpoint is from
                another run, or a value is missing or invalid.
        """
        self._provenance.check(meta, self._settings, exact)
        self._evaluations.load_meta(meta)
        self._state.load_meta(meta["run"])
        self._state.statistics.load_state_dict(parts["episodes"])
        self._learner.load_state_dict(parts["learner"])
        self._replay.load_state_dict(parts["replay"])
        env_steps = self._state.iteration * self._settings.env_steps_per_iteration
        return self._provenance.resume(meta, self.is_due, env_steps)


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises `FloatingPointError` if a value of an array is NaN or infinite.

    Args:
        arrays: Dictionary of NumPy arrays by name.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FloatingPointError(
                "The weights must be finite to be saved: the network has diverged. "
                f"Received: NaN or infinity in {name}"
            )


def save_network(network: Any, path: pathlib.Path, unfinished: pathlib.Path) -> None:
    """Saves a network atomically: under another name, which is then renamed.

    Args:
        network: `keras.Model`.
        path: Path of the file, which is replaced.
        unfinished: Path of the other name, in the same directory.

    Raises:
        FloatingPointError: If a weight is NaN or infinite.
        OSError: If the file cannot be written.
    """
    weights = {f"weight {i}": w for i, w in enumerate(network.get_weights())}
    check_finite(weights)
    network.save(unfinished)
    files.flush(unfinished)
    os.replace(unfinished, path)
    files.flush_directory(path.parent)
