"""Selects the code for the current Keras backend.

`tensorflow/`, `jax/` and `torch/` define the same names in the same order, so that
they can be compared side by side. Each defines:

- `TrainStep`: a `keras.Model` with the `train_step` that this backend needs.
  `algorithms.dqn.DQN` inherits from it.
- `QFunction`: the compiled Q-values of a network, for acting.
- `input_gradient(network)`: how the largest Q-value depends on the observation.
- `Learner`: the compiled gradient step, for a training loop.
- `DeviceFrames`: frames on the device, which batches refer to by number.
- `frames_last(observations)`: moves the frames of stacks to the last axis.
- `backend_versions()`, `device_name()`: version and device of the framework.

The interface between `TrainStep` and the algorithm is in `interface.py`.
"""

import keras

from keras_dqn.backend.interface import Update

if keras.config.backend() == "tensorflow":
    from keras_dqn.backend.tensorflow.device import DeviceFrames
    from keras_dqn.backend.tensorflow.device import backend_versions
    from keras_dqn.backend.tensorflow.device import device_name
    from keras_dqn.backend.tensorflow.device import frames_last
    from keras_dqn.backend.tensorflow.learner import Learner
    from keras_dqn.backend.tensorflow.learner import TrainStep
    from keras_dqn.backend.tensorflow.network import QFunction
    from keras_dqn.backend.tensorflow.network import input_gradient
elif keras.config.backend() == "jax":
    from keras_dqn.backend.jax.device import DeviceFrames  # type: ignore[assignment]
    from keras_dqn.backend.jax.device import backend_versions
    from keras_dqn.backend.jax.device import device_name
    from keras_dqn.backend.jax.device import frames_last
    from keras_dqn.backend.jax.learner import Learner  # type: ignore[assignment]
    from keras_dqn.backend.jax.learner import TrainStep
    from keras_dqn.backend.jax.network import QFunction  # type: ignore[assignment]
    from keras_dqn.backend.jax.network import input_gradient
elif keras.config.backend() == "torch":
    from keras_dqn.backend.torch.device import DeviceFrames  # type: ignore[assignment]
    from keras_dqn.backend.torch.device import backend_versions
    from keras_dqn.backend.torch.device import device_name
    from keras_dqn.backend.torch.device import frames_last
    from keras_dqn.backend.torch.learner import Learner  # type: ignore[assignment]
    from keras_dqn.backend.torch.learner import TrainStep
    from keras_dqn.backend.torch.network import QFunction  # type: ignore[assignment]
    from keras_dqn.backend.torch.network import input_gradient
else:
    raise ImportError(
        "The environment variable `KERAS_BACKEND` must be one of 'tensorflow', "
        "'jax' and 'torch' to train. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}"
    )

__all__ = [
    "DeviceFrames",
    "Learner",
    "QFunction",
    "TrainStep",
    "Update",
    "backend_versions",
    "device_name",
    "frames_last",
    "input_gradient",
]
