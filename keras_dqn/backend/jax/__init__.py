"""The backend on JAX."""
