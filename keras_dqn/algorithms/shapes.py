"""Shape checks of the maths: a wrong shape would broadcast and train on nonsense."""

from keras_dqn.backend.interface import Tensor


def check_vectors(batch_size: int | None, **vectors: Tensor) -> None:
    """Raises `ValueError` unless each tensor has the shape `(batch_size,)`."""
    for name, value in vectors.items():
        if len(value.shape) != 1 or not _may_equal(value.shape[0], batch_size):
            raise ValueError(
                f"`{name}` must have shape `(batch,)`, here ({batch_size},). "
                f"Received: {name}.shape={tuple(value.shape)}"
            )


def check_matrices(**matrices: Tensor) -> None:
    """Raises `ValueError` unless all tensors have one shape `(batch, actions)`."""
    first = next(iter(matrices.values()))
    for name, value in matrices.items():
        shape = tuple(value.shape)
        if len(shape) != 2 or not all(map(_may_equal, shape, first.shape)):
            raise ValueError(
                f"`{name}` must have shape `(batch, actions)`, the same for all "
                f"Q-values. Received: {name}.shape={shape}"
            )


def _may_equal(size, other):
    """Whether two sizes agree. TensorFlow does not know all sizes (`None`)."""
    return size is None or other is None or size == other
