"""TensorFlow as a runtime: opens exported networks."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def run_saved_model(path: str, observations: np.ndarray) -> np.ndarray:
    """Returns the outputs `(batch, ...)` of a SavedModel for `(batch, ...)` inputs."""
    model = tf.saved_model.load(path)  # kept: the function needs its variables
    return model.serve(observations).numpy()


def run_litert(path: str, observations: np.ndarray) -> np.ndarray:
    """Returns the outputs of a LiteRT file, `.tflite`, see `run_saved_model`."""
    interpreter = tf.lite.Interpreter(model_path=path)
    number = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(number, observations.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(number, observations)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
