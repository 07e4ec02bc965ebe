"""TensorFlow: layouts, frames on the device, versions and device name."""

from __future__ import annotations

import tensorflow as tf

from keras_dqn.backend.frames import BaseDeviceFrames
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor


class DeviceFrames(BaseDeviceFrames):
    __doc__ = BaseDeviceFrames.__doc__

    def _zeros(self, rows, grows=False):
        # A variable, since compiled functions keep a reference to it.
        shape = tf.TensorShape([None if grows else rows, *self._frame_shape])
        zeros = tf.zeros((rows, *self._frame_shape), self._dtype)
        return tf.Variable(zeros, trainable=False, shape=shape)

    @staticmethod
    def _write_rows(table, rows, frames):
        # int64: on a GPU, element offsets have the dtype of the rows, and may overflow.
        rows = tf.cast(rows, tf.int64)
        return table.scatter_update(tf.IndexedSlices(frames, rows))

    @staticmethod
    def _concatenate(table, more):
        return table.assign(tf.concat([table, more], axis=0))

    @staticmethod
    def gather(tables: Tensor, numbers: Tensor) -> Tensor:
        """Returns the frames with these numbers, `(*numbers.shape, *frame_shape)`."""
        ring, finals = tables
        numbers = tf.convert_to_tensor(numbers)
        count = ring.shape[0]
        frames = tf.gather(ring, tf.minimum(numbers, count - 1))
        final_frames = tf.gather(finals, tf.maximum(numbers - count, 0))
        shape = numbers.shape + [1] * (len(frames.shape) - len(numbers.shape))
        return tf.where(tf.reshape(numbers >= count, shape), final_frames, frames)


def to_tensors(batch: Batch) -> Batch:
    """Returns a batch of NumPy arrays as tensors."""
    return {key: tf.convert_to_tensor(value) for key, value in batch.items()}


def sum_of_squares(gradient: Tensor) -> Tensor:
    """Returns the float32 sum of a gradient's squared elements."""
    return 2.0 * tf.nn.l2_loss(
        tf.cast(gradient, tf.float32)
    )  # without an array of squares


@tf.function(autograph=False, jit_compile=True)
def frames_last(observations: Tensor) -> Tensor:
    """Turns `(batch, frames, ...)` into `(batch, ..., frames)`."""
    # With XLA, transposing uint8 takes a third of the time.
    return tf.transpose(observations, [0, *range(2, observations.shape.rank), 1])


def backend_versions() -> dict[str, str]:
    """Returns the versions of the framework, by name."""
    return {"tensorflow": tf.__version__}


def device_name() -> str:
    """Returns the name of the learner's device."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
