"""Loads at once what would be loaded later, when a command has something to show."""

from __future__ import annotations

import keras

from keras_dqn.backend import device_name


def load_all() -> None:
    """Looks for devices, and imports what Keras imports when it needs it.

    Where TensorFlow is installed, Keras imports it on every backend: to copy and to
    save layers, at the latest.
    """
    device_name()
    keras.saving.serialize_keras_object(keras.initializers.Zeros())
