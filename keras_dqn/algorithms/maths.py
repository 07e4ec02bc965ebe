"""Loss functions and shape checks."""

from __future__ import annotations

from keras import ops

from keras_dqn.backend.interface import Tensor


def huber(errors: Tensor, delta: float = 1.0) -> Tensor:
    """Returns the Huber loss of each error: quadratic up to `delta`, then linear.

    ```
    0.5 * x**2                  if |x| < delta
    delta * (|x| - 0.5 * delta) otherwise
    ```

    Args:
        errors: Float tensor of any shape.
        delta: Positive float, |error| above which the loss is linear.

    Returns:
        Float32 tensor of the same shape.

    Reference:
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), "Training
          algorithm": clipping the error term to [-1, 1].
    """
    errors = ops.cast(ops.convert_to_tensor(errors), "float32")
    size = ops.abs(errors)
    return ops.where(
        size < delta, 0.5 * ops.square(errors), delta * (size - 0.5 * delta)
    )


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean of `weight * loss` over the batch, a float32 scalar.

    The sum is divided by the batch size, not by the sum of the weights.

    Args:
        losses: Float32 tensor, `(batch,)`.
        weights: Float tensor, `(batch,)`: importance-sampling weights.

    Raises:
        ValueError: If the two shapes are not the same `(batch,)`.

    Reference:
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), section 3.4.
    """
    weights = ops.convert_to_tensor(weights, "float32")
    check_vectors(losses.shape[0], losses=losses, weights=weights)
    return ops.mean(weights * losses)


def at_actions(outputs: Tensor, actions: Tensor) -> Tensor:
    """Returns the outputs of the given actions.

    It sums over a one-hot mask, since the gradient of a gather is a scatter-add, which
    is not deterministic on every device.

    Args:
        outputs: Float32 tensor, `(batch, actions)` or `(batch, actions, K)`.
        actions: Integer tensor, `(batch,)`.

    Returns:
        Float32 tensor, `(batch,)` or `(batch, K)`.

    Raises:
        ValueError: If `actions` has another shape.
    """
    actions = ops.cast(ops.convert_to_tensor(actions), "int32")
    check_vectors(outputs.shape[0], actions=actions)
    selected = ops.one_hot(actions, outputs.shape[1], dtype="float32")
    if len(outputs.shape) == 3:
        selected = ops.expand_dims(selected, -1)
    return ops.sum(outputs * selected, axis=1)


def as_outputs(outputs: Tensor) -> Tensor:
    """Returns outputs `(batch, actions, K)` as a float32 tensor.

    Raises:
        ValueError: If they have another number of dimensions.
    """
    outputs = ops.cast(ops.convert_to_tensor(outputs), "float32")
    if len(outputs.shape) != 3:
        raise ValueError(
            "The outputs must have shape `(batch, actions, K)`, K numbers for each "
            f"action. Received: shape {tuple(outputs.shape)}"
        )
    return outputs


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
    """Whether two sizes agree. In TensorFlow graphs a size may be unknown (`None`)."""
    return size is None or other is None or size == other
