"""A run in a directory: its parts, checkpoints, evaluations and provenance."""
