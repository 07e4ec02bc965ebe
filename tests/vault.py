"""What the tests of checkpoints save."""

import json
import time

import numpy as np

from keras_dqn import checkpoint
from keras_dqn.checkpoint import manifest
from keras_dqn.checkpoint import ring as ring_module  # noqa: F401
from keras_dqn.checkpoint import scrub  # noqa: F401

PARTS = {
    "learner": {
        "online/0": np.arange(6, dtype=np.float32).reshape(2, 3),
        "nothing": np.zeros((0, 5)),
    },
    "replay": {"actions": np.array([3, 1], np.int32), "full": np.bool_(True)},
}


def with_ring(time, columns):
    """`PARTS`, and a ring whose columns hold the time that wrote them."""
    return {**PARTS, "replay": {**PARTS["replay"], "frames": ring(time, columns)}}


def ring(time, columns):
    """A ring of 3 rows, just as it is at that time."""
    used = min(time + 1, columns)
    latest = [time - (time - column) % columns for column in range(used)]
    array = np.zeros((3, columns, 5), np.uint16)
    array[:, :used] = np.uint16(latest)[:, None]
    return checkpoint.Ring(array[:, :used], time)


def contents(saved):
    """The array that a `SavedRing` reads."""
    array = np.zeros(saved.shape, saved.dtype)
    saved.read_into(array)
    return array


def body(path):
    """The body of a checkpoint's manifest."""
    return json.loads((path / "manifest.json").read_text())["body"]


def segments(body):
    """The facts of all segments that it names."""
    return list(manifest.segments_of(body))


def finish(saves, is_over):
    """Polls `RunCheckpoints` until `is_over()`, for a minute at most."""
    deadline = time.monotonic() + 60.0
    while not is_over():
        assert time.monotonic() < deadline
        time.sleep(0.001)
        saves.poll()
