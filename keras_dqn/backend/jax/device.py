"""JAX: compiler options, frames on the device, versions and device name."""

from __future__ import annotations

import functools
import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib

from keras_dqn.backend.frames import BaseDeviceFrames
from keras_dqn.backend.interface import Tensor


@functools.cache
def cpu_compiler_options() -> dict[str, Any] | None:
    """Returns compiler options for CPUs, or an empty dictionary.

    By default XLA runs single convolutions with YNNPACK, which takes up to twice as
    long as XLA's own kernels. With these options only sums use YNNPACK. The dictionary
    is empty if `XLA_FLAGS` sets the option, or this version of XLA does not have it.
    """
    flag = "xla_cpu_experimental_ynn_fusion_type"
    options = {flag: "LIBRARY_FUSION_TYPE_REDUCE"}
    if flag in os.environ.get("XLA_FLAGS", ""):
        return {}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options)(0)
    except jax.errors.JaxRuntimeError:
        return {}
    return options


class DeviceFrames(BaseDeviceFrames):
    __doc__ = BaseDeviceFrames.__doc__

    def _zeros(self, rows, grows=False):
        return jnp.zeros((rows, *self._frame_shape), self._dtype)

    @staticmethod
    @partial(jax.jit, donate_argnums=0)
    def _write_rows(table, rows, frames):
        return table.at[rows].set(frames)

    @staticmethod
    def _concatenate(table, more):
        return jnp.concatenate([table, more])

    @staticmethod
    def gather(tables: Tensor, numbers: Tensor) -> Tensor:
        """Returns the frames with these numbers, `(*numbers.shape, *frame_shape)`."""
        ring, finals = tables
        count = len(ring)
        frames = ring[jnp.minimum(numbers, count - 1)]
        final_frames = finals[jnp.maximum(numbers - count, 0)]
        is_final = jnp.expand_dims(numbers >= count, range(numbers.ndim, frames.ndim))
        return jnp.where(is_final, final_frames, frames)


def sum_of_squares(gradient: Tensor) -> Tensor:
    """Returns the float32 sum of a gradient's squared elements."""
    return jnp.sum(jnp.square(gradient.astype("float32")))


def frames_last(observations: Tensor) -> Tensor:
    """Turns `(batch, frames, ...)` into `(batch, ..., frames)`."""
    return jnp.moveaxis(observations, 1, -1)


def backend_versions() -> dict[str, str]:
    """Returns the versions of the framework, by name."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


def device_name() -> str:
    """Returns the name of the learner's device."""
    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else device.device_kind
