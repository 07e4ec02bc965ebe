"""The double-Q update on TensorFlow: a gradient tape, variables in place."""

import keras
import tensorflow as tf

from keras_dqn.backend.base import BaseLearner
from keras_dqn.backend.frames import BaseDeviceFrames


class TrainStep(keras.Model):
    """`train_step` by TensorFlow's contract: a batch in, logs out."""

    def gradient_step(self, batch):
        """Moves the online network one step.

        Returns:
            Loss, TD errors, Q(s, a), and whether loss and gradients are finite.
            If not, nothing moved.
        """
        variables = self.network.trainable_variables
        # Read once: mixed precision then casts them once for both passes.
        values = [tf.convert_to_tensor(variable.value) for variable in variables]
        with keras.StatelessScope(zip(variables, values, strict=True)):
            targets = self.targets(self.network, self.target_network, batch)
            with tf.GradientTape() as tape:
                tape.watch(values)
                loss, (td_errors, q_values) = self.loss_of(self.network, batch, targets)
                scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(
            scaled_loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # Sparse ones (of an Embedding) become dense.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        is_finite = self.is_finite(loss, gradients)
        self._apply(gradients, variables, is_finite)
        return loss, td_errors, q_values, is_finite

    def _apply(self, gradients, variables, is_finite):
        """Lets the optimizer move the variables, but not by NaN or infinity."""
        if not self.optimizer.built:  # variables cannot be made in a branch
            self.optimizer.build(variables)
        optimizer = self.optimizer
        adam = _FusedAdam.like(optimizer, variables)
        if adam is not None:
            optimizer, gradients = adam, adam.clipped(gradients)
        tf.cond(is_finite, lambda: optimizer.apply(gradients, variables), lambda: None)

    def train_step(self, batch):
        """One gradient step of `fit`. Returns the logs."""
        *outputs, _ = self.gradient_step(batch)
        if self.target_sync_updates is not None:
            is_due = self.optimizer.iterations % self.target_sync_updates == 0
            tf.cond(is_due, self.sync_target, lambda: None)
        return self._logs(*outputs)

    def test_step(self, batch):
        """The loss on a batch, without a gradient step. Returns the logs."""
        targets = self.targets(self.network, self.target_network, batch)
        loss, (td_errors, q_values) = self.loss_of(self.network, batch, targets)
        return self._logs(loss, td_errors, q_values)

    def sum_of_squares(self, gradient):
        """Returns the float32 sum of a gradient's squared elements."""
        return _sum_of_squares(gradient)

    def frames_last(self, observations):
        """Turns `(batch, frames, ...)` into `(batch, ..., frames)`."""
        return _frames_last(observations)

    def sync_target(self):
        """Makes the target network equal to the online one, by copy."""
        pairs = zip(self.target_network.variables, self.network.variables, strict=True)
        for target, online in pairs:
            target.assign(online.value)

    def _logs(self, loss, td_errors, q_values):
        self.loss_metric.update_state(loss)
        self.td_error_metric.update_state(tf.abs(td_errors))
        self.q_metric.update_state(q_values)
        return {metric.name: metric.result() for metric in self.metrics}


class Learner(BaseLearner):
    __doc__ = BaseLearner.__doc__

    def _build(self):
        # XLA's convolution gradients are slower than TensorFlow's own on a CPU.
        jit = self.jit_compile
        if jit == "auto":
            jit = bool(tf.config.list_physical_devices("GPU"))

        def compiled(function):
            return tf.function(function, autograph=False, jit_compile=jit)

        self._compiled_update = compiled(self._update_step)
        self._compiled_update_many = compiled(self._update_many_steps)
        self._compiled_q_values = compiled(self._q_values_step)
        self._compiled_inspect = compiled(self._inspect_step)

    def sync_target(self):
        """Makes the target network equal to the online one, by copy."""
        self.model.sync_target()

    def sync_variables(self):
        """Puts the state into the Keras variables. Here it never left them."""

    def pull_variables(self):
        """Takes the Keras variables' values over. Here they are the state."""

    def _update(self, batch):
        return self._compiled_update(_to_tensors(batch))

    def _update_many(self, batches):
        return self._compiled_update_many(_to_tensors(batches))

    def _q_values(self, observations):
        return self._compiled_q_values(tf.convert_to_tensor(observations))

    def _inspect(self, batch):
        return self._compiled_inspect(_to_tensors(batch))

    def _update_step(self, batch):
        self.trace_counts["update"] += 1
        batch = DeviceFrames.look_up(batch, self._tables())
        return self.model.gradient_step(batch)

    def _update_many_steps(self, batches):
        self.trace_counts["update_many"] += 1

        def one_step(batch):
            batch = DeviceFrames.look_up(batch, self._tables())
            return self.model.gradient_step(batch)

        # One at a time: each step starts from the weights that the last one left.
        return tf.map_fn(
            one_step,
            batches,
            parallel_iterations=1,
            fn_output_signature=(tf.float32, tf.float32, tf.float32, tf.bool),
        )

    def _q_values_step(self, observations):
        self.trace_counts["q_values"] += 1
        return self.network(self.model.to_network_layout(observations))

    def _inspect_step(self, batch):
        self.trace_counts["inspect"] += 1
        batch = DeviceFrames.look_up(batch, self._tables())
        targets = self.model.targets(self.network, self.target_network, batch)
        _, (_, q_values) = self.model.loss_of(self.network, batch, targets)
        return q_values, targets


@tf.function(autograph=False, jit_compile=True)
def _frames_last(observations):
    # XLA's transpose of bytes takes a third of the time of TensorFlow's own.
    return tf.transpose(observations, [0, *range(2, observations.shape.rank), 1])


def _sum_of_squares(gradient):
    return 2.0 * tf.nn.l2_loss(tf.cast(gradient, tf.float32))  # stores no squares


class _FusedAdam:
    """Keras's Adam with each variable's step in one of TensorFlow's kernels.

    Keras writes Adam in a dozen operations, each of which passes over all weights:
    a third of the time of a gradient step. This is the same arithmetic on the same
    variables; only sums are in another order.
    """

    @classmethod
    def like(cls, optimizer, variables):
        """Returns one that does what `optimizer` does, or `None`."""
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

    def __init__(self, optimizer, slots):
        self._optimizer = optimizer
        self._slots = slots

    def clipped(self, gradients):
        """Returns the gradients, each no longer than the optimizer's `clipnorm`."""
        longest = self._optimizer.clipnorm
        if not longest or longest <= 0:
            return gradients
        # The sums are those that `is_finite` takes, and are taken once.
        norms = [tf.sqrt(_sum_of_squares(gradient)) for gradient in gradients]

        def scaled():
            return [
                gradient * (longest / tf.maximum(norm, longest))
                for gradient, norm in zip(gradients, norms, strict=True)
            ]

        # Where none is too long, a product with 1 would pass over all weights.
        is_long = tf.reduce_any(tf.stack(norms) > longest)
        return tf.cond(is_long, scaled, lambda: list(gradients))

    def apply(self, gradients, variables):
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


class DeviceFrames(BaseDeviceFrames):
    __doc__ = BaseDeviceFrames.__doc__

    def _zeros(self, rows, grows=False):
        # Compiled functions hold on to the variable, so it is the same for ever.
        shape = tf.TensorShape([None if grows else rows, *self._frame_shape])
        zeros = tf.zeros((rows, *self._frame_shape), self._dtype)
        return tf.Variable(zeros, trainable=False, shape=shape)

    @staticmethod
    def _written(table, rows, frames):
        # In int64: a GPU counts the elements before a row in the rows' dtype.
        rows = tf.cast(rows, tf.int64)
        return table.scatter_update(tf.IndexedSlices(frames, rows))

    @staticmethod
    def _joined(table, more):
        return table.assign(tf.concat([table, more], axis=0))

    @staticmethod
    def gather(tables, numbers):
        """Returns the frames with these numbers, `(*numbers.shape, *frame_shape)`."""
        ring, finals = tables
        numbers = tf.convert_to_tensor(numbers)
        count = ring.shape[0]
        frames = tf.gather(ring, tf.minimum(numbers, count - 1))
        final_frames = tf.gather(finals, tf.maximum(numbers - count, 0))
        shape = numbers.shape + [1] * (len(frames.shape) - len(numbers.shape))
        return tf.where(tf.reshape(numbers >= count, shape), final_frames, frames)


def _to_tensors(batch):
    return {key: tf.convert_to_tensor(value) for key, value in batch.items()}


def backend_versions():
    """Returns the versions of the framework, by name."""
    return {"tensorflow": tf.__version__}


def device_name():
    """Returns the device that the learner computes on, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
