"""Saves everything that an agent is in a directory, and loads it.

It is a directory of checkpoints, see `checkpoint`: a save is atomic, and damage is
found when it is loaded. The network is stored as the bytes of a `.keras` file.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any
from typing import Self
from typing import cast

import keras
import numpy as np

from keras_dqn import checkpoint
from keras_dqn.algorithms.arguments import Compiled
from keras_dqn.algorithms.arguments import from_json
from keras_dqn.backend import Learner
from keras_dqn.models import load_network
from keras_dqn.models.single_input import Observation
from keras_dqn.replay import Replay
from keras_dqn.replay.arguments import from_settings
from keras_dqn.replay.own import OwnReplay

_FORMAT = 1


class Savable:
    """Base class of `DQNAgent` that saves and loads it."""

    # Defined by `DQNAgent`.
    network: keras.Model
    replay: Replay
    _learner: Learner | None
    _observation: Observation | None
    _compiled: Compiled | None
    _stored: dict[str, Any] | None
    _fits: int

    def save(self, path: str | os.PathLike[str], replay: bool = True) -> None:
        """Saves all that the agent is: networks, optimizer, replay and arguments.

        The games are not part of it: the next `fit` starts new ones. To save a network
        alone, use `agent.network.save("a.keras")`. A run that must survive a crash is
        one of `runs.run.Run`.

        Args:
            path: Path of a directory. The last two saves in it are kept.
            replay: Boolean, whether to save the transitions.

        Raises:
            FileExistsError: If something else is at `path`.
            CheckpointError: If it cannot be written. An older save is kept.
        """
        network, learner, compiled = self.network, self._learner, self._compiled
        is_own = isinstance(self.replay, OwnReplay)
        values = {
            "compiled": None if compiled is None else compiled.to_json(),
            "replay": None if is_own else self.replay.settings,
            "stored": self._stored,
            "fits": self._fits,
            "observation": self._observation,
            "stack_first": None if learner is None else learner.model.stack_first,
        }
        is_filled = replay and self._stored is not None
        _write(path, network, learner, self.replay if is_filled else None, values)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        network: keras.Model | None = None,
        *,
        replay: Any = None,
        backup: Any = None,
        distribution: Any = None,
    ) -> Self:
        """Loads an agent that `save` wrote, on this or another backend.

        Args:
            path: Path of the directory.
            network: `keras.Model` of the same architecture, whose weights are replaced.
                It is needed for layers of your own. Default: the saved one.
            replay, backup, distribution: The objects of your own that the agent had:
                they are not saved.

        Raises:
            FileNotFoundError: If there is no saved agent.
            CheckpointError: If none that is there can be read.
            ValueError: If the network has another architecture, or layers that
                `load_network` refuses, or if an object of your own is missing.
        """
        network, parts, values = _read(path, network)
        agent = cast(Any, cls)(network, _replay_of(values["replay"], replay))
        agent._fits, agent._stored = values["fits"], values["stored"]
        if values["compiled"] is not None:
            options = from_json(values["compiled"], backup, distribution)
            agent.compile(**options)
        if "learner" in parts:
            observation = values.get("observation")
            if observation is not None:
                observation = Observation.from_json(observation)
            learner = agent._build_learner(int(values["stack_first"]), observation)
            learner.load_state_dict(parts["learner"])
        if "replay" in parts:
            agent.replay.build(**agent._stored)
            agent.replay.load_state_dict(parts["replay"])
        return agent


def _replay_of(settings, own):
    """Returns the replay of an agent that is loaded."""
    if (settings is None) != (own is not None):
        raise ValueError(
            "`replay` must be given to `load` if the agent had a replay of your own, "
            f"and not otherwise. Received: replay={own!r}"
        )
    return from_settings(settings) if own is None else own


def _write(
    path: str | os.PathLike[str],
    network: keras.Model,
    learner: Learner | None,
    replay: Replay | None,
    values: Mapping[str, Any],
) -> None:
    """Writes an agent: arrays in parts, and `values`, which are of JSON types."""
    directory = pathlib.Path(path)
    if directory.exists() and not _may_be_written(directory):
        raise FileExistsError(
            f"`path` must be new, empty, or hold a saved agent. Received: path={path}"
        )
    parts: dict[str, dict[str, Any]] = {"network": {"keras": _as_bytes(network)}}
    if learner is not None:
        parts["learner"] = learner.state_dict()
    if replay is not None:
        state: dict[str, Any] = dict(replay.state_dict())
        state["frames"] = checkpoint.Ring(state["frames"], int(state["time"]))
        parts["replay"] = state
    checkpoint.save(directory, 0, parts, {"agent": _FORMAT, **values})


def _read(
    path: str | os.PathLike[str], network: keras.Model | None
) -> tuple[keras.Model, dict[str, dict[str, Any]], dict[str, Any]]:
    """Returns the network, the other parts by name, and `values`."""
    loaded = checkpoint.load(path, lambda meta: meta.get("agent") == _FORMAT)
    if loaded is None:
        raise FileNotFoundError(
            f"`path` must be a directory that `agent.save` wrote. Received: path={path}"
        )
    parts = loaded.parts
    data = parts.pop("network")["keras"]
    return network or _from_bytes(data), parts, loaded.meta


def _may_be_written(directory):
    """Whether a path that exists is an empty directory or one of a saved agent."""
    if not directory.is_dir():
        return False
    names = {file.name for file in directory.iterdir()} - {"segments"}
    return all(name.startswith(("checkpoint-", ".")) for name in names)


def _as_bytes(network):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "network.keras"
        network.save(file)
        return np.frombuffer(file.read_bytes(), np.uint8)


def _from_bytes(data):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "network.keras"
        file.write_bytes(data.tobytes())
        return load_network(file)
