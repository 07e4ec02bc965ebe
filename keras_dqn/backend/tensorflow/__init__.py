"""TensorFlow code."""
