"""Keras's Adam in TensorFlow's own kernels."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_dqn.backend.tensorflow.device import sum_of_squares


class FusedAdam:
    """Keras's Adam with each variable's step in one of TensorFlow's kernels.

    Keras writes Adam in a dozen operations, each of which passes over all weights:
    a third of the time of a gradient step. This is the same arithmetic on the same
    variables; only sums are in another order.
    """

    @classmethod
    def like(
        cls, optimizer: keras.optimizers.Optimizer, variables: Any
    ) -> FusedAdam | None:
        """Returns one that does what `optimizer` does, or `None`."""
        off: tuple[str, ...]
        off = ("amsgrad", "weight_decay", "use_ema", "clipvalue", "global_clipnorm")
        off += ("gradient_accumulation_steps", "loss_scale_factor")
        if type(optimizer) is not keras.optimizers.Adam or any(
            getattr(optimizer, name) for name in off
        ):
            return None
        if any(v.constraint is not None or v.dtype != "float32" for v in variables):
            return None
        try:
            # By variable: layers may have been frozen since the slots were made.
            numbers = [optimizer._get_variable_index(v) for v in variables]
            slots = [
                (optimizer._momentums[i], optimizer._velocities[i]) for i in numbers
            ]
        except (AttributeError, KeyError, IndexError):
            return None  # Keras has it elsewhere, or does not know the variable
        return cls(optimizer, slots)

    def __init__(self, optimizer: keras.optimizers.Optimizer, slots: Any) -> None:
        self._optimizer = optimizer
        self._slots = slots

    def clipped(self, gradients: Any) -> Any:
        """Returns the gradients, each no longer than the optimizer's `clipnorm`."""
        longest = self._optimizer.clipnorm
        if not longest or longest <= 0:
            return gradients
        # The sums are those that `is_finite` takes, and are taken once.
        norms = [tf.sqrt(sum_of_squares(gradient)) for gradient in gradients]

        def scaled():
            return [
                gradient * (longest / tf.maximum(norm, longest))
                for gradient, norm in zip(gradients, norms, strict=True)
            ]

        # Where none is too long, a product with 1 would pass over all weights.
        is_long = tf.reduce_any(tf.stack(norms) > longest)
        return tf.cond(is_long, scaled, lambda: list(gradients))

    def apply(self, gradients: Any, variables: Any) -> None:
        """As `keras.optimizers.Adam.apply`, for gradients that are `clipped`."""
        adam = self._optimizer
        step = tf.cast(adam.iterations.value + 1, tf.float32)
        for gradient, variable, (momentum, velocity) in zip(
            gradients, variables, self._slots, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=momentum.value.handle,
                v=velocity.value.handle,
                beta1_power=adam.beta_1**step,
                beta2_power=adam.beta_2**step,
                lr=tf.cast(adam.learning_rate, tf.float32),
                beta1=adam.beta_1,
                beta2=adam.beta_2,
                epsilon=adam.epsilon,
                grad=gradient,
            )
        adam.iterations.assign_add(1)
