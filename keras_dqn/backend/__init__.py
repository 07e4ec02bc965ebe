"""The one place where the Keras backend is asked for.

`tensorflow/`, `jax/` and `torch/` are mirrored: the same names in the same order,
so that two of them can be read side by side. Each offers:

- `TrainStep`: a `keras.Model` whose `train_step` is the algorithm's gradient step, by
  the contract of that backend. `algorithms.dqn.DQN` inherits it.
- `QFunction`: the Q-values of a network, compiled, for acting.
- `Learner`: the gradient step, compiled, for a training loop.
- `DeviceFrames`: frames on the device, which batches name by number.
- `frames_last(observations)`: stacks of frames, channels last.
- `backend_versions()`, `device_name()`: what it is and runs on.

What a train step and the algorithm ask of each other stands in `interface.py`.
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
elif keras.config.backend() == "jax":
    from keras_dqn.backend.jax.device import DeviceFrames  # type: ignore[assignment]
    from keras_dqn.backend.jax.device import backend_versions
    from keras_dqn.backend.jax.device import device_name
    from keras_dqn.backend.jax.device import frames_last
    from keras_dqn.backend.jax.learner import Learner  # type: ignore[assignment]
    from keras_dqn.backend.jax.learner import TrainStep
    from keras_dqn.backend.jax.network import QFunction  # type: ignore[assignment]
elif keras.config.backend() == "torch":
    from keras_dqn.backend.torch.device import DeviceFrames  # type: ignore[assignment]
    from keras_dqn.backend.torch.device import backend_versions
    from keras_dqn.backend.torch.device import device_name
    from keras_dqn.backend.torch.device import frames_last
    from keras_dqn.backend.torch.learner import Learner  # type: ignore[assignment]
    from keras_dqn.backend.torch.learner import TrainStep
    from keras_dqn.backend.torch.network import QFunction  # type: ignore[assignment]
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
]
