"""Checkpoints: everything a run needs to go on, written so that none is half.

A directory of checkpoints looks like this:

    checkpoint-000000000320/    named after its agent steps, never changed
        manifest.json           every file with its size and SHA-256, every array
        meta.json               counters, generators, settings: what JSON holds
        learner.bin, ...        one file for each part, array after array
    segments/
        000017.bin              some columns of a ring, see `Ring`

A checkpoint is written under another name, flushed to the disk and renamed when
whole; so one with its final name is a complete one. Loading takes the newest whose
manifest agrees with its files, and says why it passed over any other. A segment
that has not changed is shared by several checkpoints, and removed with the last.

Nothing is pickled or compressed: the size of a file is that of its arrays, so that
nothing is allocated before sizes, shapes and dtypes are known to be right.
"""

from keras_dqn.checkpoint.ring import Ring
from keras_dqn.checkpoint.ring import SavedRing
from keras_dqn.checkpoint.saving import CheckpointError
from keras_dqn.checkpoint.saving import Saving
from keras_dqn.checkpoint.store import KEEP
from keras_dqn.checkpoint.store import Loaded
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


def save(directory, env_steps, parts, meta):
    """Writes one checkpoint whole. Returns its path. See `Store.save`."""
    return Store(directory).save(env_steps, parts, meta)


def load(directory, is_wanted=None, limits=None):
    """Reads the newest checkpoint that is whole, or `None`. See `Store.load`."""
    return Store(directory).load(is_wanted, limits)
