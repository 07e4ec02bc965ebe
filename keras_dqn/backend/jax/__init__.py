"""JAX code."""
