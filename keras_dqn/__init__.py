"""Deep Q-learning for Keras 3, on TensorFlow, JAX and PyTorch.

Public names are imported on first use (PEP 562). So `import keras_dqn` is fast, and
`keras_dqn.replay` works without Keras.
"""

import importlib

__version__ = "0.1.0"

_MODULES = (
    "envs",
    "exploration",
    "interfaces",
    "models",
    "presets",
    "pretrained",
    "replay",
    "schedules",
)
_NAMES = {
    "DQNAgent": "keras_dqn.agent",
    "DQN": "keras_dqn.algorithms.dqn",
    "Learner": "keras_dqn.backend",
    "MinTree": "keras_dqn.replay",
    "PiecewiseSchedule": "keras_dqn.schedules",
    "Policy": "keras_dqn.policy",
    "PrioritizedReplay": "keras_dqn.replay",
    "Settings": "keras_dqn.config",
    "SumTree": "keras_dqn.replay",
    "UniformReplay": "keras_dqn.replay",
    "load_network": "keras_dqn.models",
    "make_envs": "keras_dqn.envs",
}
__all__ = sorted([*_MODULES, *_NAMES])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"keras_dqn.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'keras_dqn' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
