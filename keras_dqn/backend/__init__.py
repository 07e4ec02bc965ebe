"""The one place where the Keras backend is asked for.

`tensorflow.py`, `jax.py` and `torch.py` are mirrored: the same names in the
same order, so that two of them can be read side by side. Each offers:

- `TrainStep`: a `keras.Model` whose `train_step` is the double-Q update, by the
  contract of that backend. `DoubleDQN` inherits it.
- `Learner`: the same update, compiled, for a training loop.
- `DeviceFrames`: frames on the device, which batches name by number.
- `backend_versions()`, `device_name()`: what it is and runs on.
"""

import keras

if keras.config.backend() == "tensorflow":
    from keras_dqn.backend.tensorflow import DeviceFrames
    from keras_dqn.backend.tensorflow import Learner
    from keras_dqn.backend.tensorflow import TrainStep
    from keras_dqn.backend.tensorflow import backend_versions
    from keras_dqn.backend.tensorflow import device_name
elif keras.config.backend() == "jax":
    from keras_dqn.backend.jax import DeviceFrames  # type: ignore[assignment]
    from keras_dqn.backend.jax import Learner  # type: ignore[assignment]
    from keras_dqn.backend.jax import TrainStep
    from keras_dqn.backend.jax import backend_versions
    from keras_dqn.backend.jax import device_name
elif keras.config.backend() == "torch":
    from keras_dqn.backend.torch import DeviceFrames  # type: ignore[assignment]
    from keras_dqn.backend.torch import Learner  # type: ignore[assignment]
    from keras_dqn.backend.torch import TrainStep
    from keras_dqn.backend.torch import backend_versions
    from keras_dqn.backend.torch import device_name
else:
    raise ImportError(
        "The environment variable `KERAS_BACKEND` must be one of 'tensorflow', "
        "'jax' and 'torch' to train. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}"
    )

__all__ = ["DeviceFrames", "Learner", "TrainStep", "backend_versions", "device_name"]
