"""The update in plain TensorFlow: `tf.function`, `tf.nn`, the fused Adam kernel.

As `native/jax.py` and `native/torch.py`: same names in the same order.
"""

import numpy as np
import tensorflow as tf

STRIDES = {"conv1": 4, "conv2": 2, "conv3": 1}


class NativeStep:
    """One double-Q update of the dueling CNN, and its Q-values.

    Args:
        weights: Dictionary, layer name to `(kernel, bias)`, NumPy arrays as the
            Keras layers have them.
        learning_rate, epsilon, clipnorm, delta: Floats.
    """

    variants = ("tf.function",)

    def __init__(
        self,
        weights,
        variant="tf.function",
        learning_rate=1e-4,
        epsilon=1e-8,
        clipnorm=10.0,
        delta=1.0,
    ):
        self.names = [f"{layer}/{part}" for layer in weights for part in "kb"]
        flat = [array for pair in weights.values() for array in pair]
        self.online = [tf.Variable(array) for array in flat]
        self.target = [tf.Variable(array) for array in flat]
        self.momentums = [tf.Variable(tf.zeros_like(array)) for array in flat]
        self.velocities = [tf.Variable(tf.zeros_like(array)) for array in flat]
        self.count = tf.Variable(0.0)
        self.rate, self.epsilon = learning_rate, epsilon
        self.clipnorm, self.delta = clipnorm, delta
        jit = bool(tf.config.list_physical_devices("GPU"))
        self._update = tf.function(self._step, autograph=False, jit_compile=jit)
        self._q_values = tf.function(
            lambda x: self._forward(self.online, _image(x)),
            autograph=False,
            jit_compile=jit,
        )

    def update(self, batch):
        """Takes one step. Returns the TD errors, `(batch,)` NumPy."""
        batch = {key: tf.convert_to_tensor(value) for key, value in batch.items()}
        return self._update(batch).numpy()

    def q_values(self, observations):
        """Returns `(n, actions)` NumPy."""
        return self._q_values(tf.convert_to_tensor(observations)).numpy()

    def weights(self):
        """Returns the online weights by name, as Keras has them."""
        arrays = [variable.numpy() for variable in self.online]
        return dict(zip(self.names, arrays, strict=True))

    def _forward(self, variables, x):
        w = dict(zip(self.names, variables, strict=True))
        x = tf.cast(x, tf.float32) / 255.0
        for name, stride in STRIDES.items():
            x = tf.nn.conv2d(x, w[f"{name}/k"], stride, "VALID")
            x = tf.nn.relu(tf.nn.bias_add(x, w[f"{name}/b"]))
        x = tf.reshape(x, (-1, np.prod(x.shape[1:])))

        def dense(name, x):
            return tf.matmul(x, w[f"{name}/k"]) + w[f"{name}/b"]

        scores = dense("advantage_scores", tf.nn.relu(dense("advantage_hidden", x)))
        value = dense("value_score", tf.nn.relu(dense("value_hidden", x)))
        return value + scores - tf.reduce_mean(scores, -1, keepdims=True)

    def _step(self, batch):
        following = _image(batch["next_observations"])
        best = tf.argmax(self._forward(self.online, following), -1)
        next_q = _at(self._forward(self.target, following), best)
        targets = batch["rewards"] + batch["discounts"] * next_q
        with tf.GradientTape() as tape:
            q = self._forward(self.online, _image(batch["observations"]))
            errors = _at(q, batch["actions"]) - targets
            size = tf.abs(errors)
            arms = self.delta * (size - 0.5 * self.delta)
            huber = tf.where(size < self.delta, 0.5 * errors**2, arms)
            loss = tf.reduce_mean(batch["weights"] * huber)
        gradients = tape.gradient(loss, self.online)
        self._adam([tf.clip_by_norm(g, self.clipnorm) for g in gradients])
        return errors

    def _adam(self, gradients):
        count = self.count.assign_add(1.0)
        for variable, m, v, gradient in zip(
            self.online, self.momentums, self.velocities, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.9**count,
                beta2_power=0.999**count,
                lr=self.rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=self.epsilon,
                grad=gradient,
            )


def _image(observations):
    return tf.transpose(observations, (0, 2, 3, 1))


def _at(q, actions):
    return tf.reduce_sum(q * tf.one_hot(actions, q.shape[-1]), -1)
