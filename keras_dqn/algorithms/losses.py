"""The maths of deep Q-learning, as pure functions of tensors.

For a transition from state s by action a to state s', with reward r:

    target   = r + discount * Q_target(s', argmax over a' of Q_online(s', a'))
    TD error = Q_online(s, a) - target
    loss     = mean over the batch of weight * huber(TD error)

There is no `done` here: `discount` is gamma while the episode could have gone
on (a time limit included) and 0 where the environment terminated.
"""

from keras import ops


def q_at(q_values, actions):
    """Returns Q(s, a) of the given actions.

    A one-hot sum, not a gather: the gradient of a gather is a scatter-add,
    which is not deterministic on every device.

    Args:
        q_values: Float tensor, shape `(batch, actions)`.
        actions: Integer tensor, shape `(batch,)`.

    Returns:
        Float32 tensor, shape `(batch,)`.

    Raises:
        ValueError: If `q_values` is not `(batch, actions)` or `actions` is not
            `(batch,)`.

    Example:

    >>> [float(q) for q in q_at([[1.0, 2.0], [3.0, 4.0]], [1, 0])]
    [2.0, 3.0]
    """
    q_values = ops.cast(ops.convert_to_tensor(q_values), "float32")
    actions = ops.cast(ops.convert_to_tensor(actions), "int32")
    _check_matrices(q_values=q_values)
    _check_vectors(q_values.shape[0], actions=actions)
    selected = ops.one_hot(actions, q_values.shape[-1], dtype="float32")
    return ops.sum(q_values * selected, axis=-1)


def td_targets(rewards, discounts, next_q_target, next_q_online=None):
    """Returns what each Q(s, a) should have been.

    With `next_q_online` the online network picks the next action and the
    target network says what it is worth (double Q-learning). Without it the
    target network does both.

    Args:
        rewards: Float tensor, shape `(batch,)`: the reward, or the discounted
            sum of n rewards.
        discounts: Float tensor, shape `(batch,)`: gamma to the power of the
            steps to the next observation, or 0 where the environment
            terminated.
        next_q_target: Float tensor, shape `(batch, actions)`.
        next_q_online: Float tensor, shape `(batch, actions)`, or `None`.

    Returns:
        Float32 tensor, shape `(batch,)`. No gradient flows through it.

    Raises:
        ValueError: If `rewards` or `discounts` is not `(batch,)`. A
            `(batch, 1)` column would broadcast to `(batch, batch)` and train
            on nonsense. Or if the Q-values are not `(batch, actions)`.

    Example:

    Action 0 is picked online, and is worth 10 to the target network.

    >>> float(td_targets([1.0], [0.5], [[10.0, 20.0]], [[3.0, 2.0]])[0])
    6.0

    Reference:
        - [van Hasselt et al., 2016](https://arxiv.org/abs/1509.06461), section
          "Double Q-learning", equation 4.
    """
    rewards = ops.convert_to_tensor(rewards, "float32")
    discounts = ops.convert_to_tensor(discounts, "float32")
    next_q_target = ops.cast(ops.convert_to_tensor(next_q_target), "float32")
    chooser = next_q_target
    if next_q_online is not None:
        chooser = ops.convert_to_tensor(next_q_online)
    _check_matrices(next_q_target=next_q_target, next_q_online=chooser)
    _check_vectors(next_q_target.shape[0], rewards=rewards, discounts=discounts)
    next_values = q_at(next_q_target, ops.argmax(chooser, axis=-1))
    return ops.stop_gradient(rewards + discounts * next_values)


def huber(errors, delta=1.0):
    """Returns the Huber function of each error: a parabola with straight arms.

    ```
    0.5 * x**2                  if |x| < delta
    delta * (|x| - 0.5 * delta) otherwise
    ```

    Args:
        errors: Float tensor of any shape.
        delta: Positive float, where the arms begin.

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


def weighted_huber_loss(td_errors, weights, delta=1.0):
    """Returns the mean of `weight * huber(TD error)` over the batch.

    The mean divides by the batch size, not by the sum of the weights.

    Args:
        td_errors: Float tensor, shape `(batch,)`: prediction minus target.
        weights: Float tensor, shape `(batch,)`: importance-sampling weights.
        delta: Positive float, see `huber`.

    Returns:
        Float32 scalar tensor.

    Raises:
        ValueError: If the two shapes are not the same `(batch,)`.

    Reference:
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), section 3.4
          and algorithm 1.
    """
    td_errors = ops.convert_to_tensor(td_errors)
    weights = ops.convert_to_tensor(weights, "float32")
    _check_vectors(td_errors.shape[0], td_errors=td_errors, weights=weights)
    return ops.mean(weights * huber(td_errors, delta))


def _check_vectors(batch_size, **vectors):
    for name, value in vectors.items():
        if len(value.shape) != 1 or not _may_equal(value.shape[0], batch_size):
            raise ValueError(
                f"`{name}` must have shape `(batch,)`, here ({batch_size},). "
                f"Received: {name}.shape={tuple(value.shape)}"
            )


def _check_matrices(**matrices):
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
