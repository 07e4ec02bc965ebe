"""PyTorch: frames on the device, versions and device name."""

from __future__ import annotations

import torch
from keras import ops

from keras_dqn.backend.frames import BaseDeviceFrames
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Tensor


class DeviceFrames(BaseDeviceFrames):
    __doc__ = BaseDeviceFrames.__doc__

    def _zeros(self, rows, grows=False):
        return ops.zeros((rows, *self._frame_shape), self._dtype)

    @staticmethod
    def _write_rows(table, rows, frames):
        rows, frames = map(ops.convert_to_tensor, (rows, frames))
        return table.index_copy_(0, rows.long(), frames)

    @staticmethod
    def _concatenate(table, more):
        return torch.cat([table, more])

    @staticmethod
    def gather(tables: Tensor, numbers: Tensor) -> Tensor:
        """Returns the frames with these numbers, `(*numbers.shape, *frame_shape)`."""
        ring, finals = tables
        numbers = ops.convert_to_tensor(numbers).long()
        count = len(ring)
        frames = ring[numbers.clamp(max=count - 1)]
        final_frames = finals[(numbers - count).clamp(min=0)]
        is_final = numbers >= count
        is_final = is_final.reshape(is_final.shape + (1,) * (ring.ndim - 1))
        return torch.where(is_final, final_frames, frames)


def to_tensors(batch: Batch) -> Batch:
    """Returns a batch of NumPy arrays as tensors on the device."""
    return {key: ops.convert_to_tensor(value) for key, value in batch.items()}


def sum_of_squares(gradient: Tensor) -> Tensor:
    """Returns the float32 sum of a gradient's squared elements."""
    return torch.sum(torch.square(gradient.float()))


def frames_last(observations: Tensor) -> Tensor:
    """Turns `(batch, frames, ...)` into `(batch, ..., frames)`."""
    return torch.moveaxis(observations, 1, -1)


def backend_versions() -> dict[str, str]:
    """Returns the versions of the framework, by name."""
    return {"torch": torch.__version__}


def device_name() -> str:
    """Returns the name of the learner's device."""
    device = ops.convert_to_tensor(0.0).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
