"""Checkpoints: everything that a run needs to resume, written atomically.

A directory of checkpoints looks like this:

    checkpoint-000000000320/    named after the agent steps; never changed
        manifest.json           the size and SHA-256 of every file, and every array
        meta.json               counters, generators, settings
        learner.bin, ...        one file per part, with its arrays in order
    segments/
        000017.bin              some columns of a ring buffer, see `Ring`

A checkpoint is written into a directory with a temporary name, flushed to the disk and
then renamed. So a directory with a checkpoint's name is complete. The rename in
`Store.publish` is the commit point; the flush after it makes the rename survive a power
cut. `load` reads the newest checkpoint whose files
match its manifest, and reports why it skipped newer ones. Checkpoints share the
segments that did not change between them. A segment is deleted with the last
checkpoint that uses it.

Nothing is pickled or compressed: a file has the size of its arrays, and sizes,
shapes and dtypes are checked before memory is allocated.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from keras_dqn.checkpoint.reading import Loaded
from keras_dqn.checkpoint.ring import Ring
from keras_dqn.checkpoint.ring import SavedRing
from keras_dqn.checkpoint.saving import CheckpointError
from keras_dqn.checkpoint.saving import Saving
from keras_dqn.checkpoint.store import KEEP
from keras_dqn.checkpoint.store import Store

__all__ = [
    "KEEP",
    "CheckpointError",
    "Loaded",
    "Ring",
    "SavedRing",
    "Saving",
    "Store",
    "load",
    "save",
]


def save(
    directory: str | os.PathLike[str],
    env_steps: int,
    parts: Mapping[str, Mapping[str, Any]],
    meta: Mapping[str, Any],
) -> pathlib.Path:
    """Writes one checkpoint and waits until it is complete. See `Store.save`."""
    return Store(directory).save(env_steps, parts, meta)


def load(
    directory: str | os.PathLike[str],
    is_wanted: Callable[[dict[str, Any]], object] | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
) -> Loaded | None:
    """Reads the newest valid checkpoint. See `Store.load`."""
    return Store(directory).load(is_wanted, limits)
