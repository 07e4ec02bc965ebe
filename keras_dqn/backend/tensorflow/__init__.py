"""The backend on TensorFlow."""
