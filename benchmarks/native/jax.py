"""The update in plain JAX: one jitted function with donated state.

As `native/tensorflow.py` and `native/torch.py`: same names in the same order.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from keras_dqn.backend.jax.device import cpu_compiler_options

STRIDES = {"conv1": 4, "conv2": 2, "conv3": 1}
LAYOUT = ("NHWC", "HWIO", "NHWC")


class NativeStep:
    """One double-Q update of the dueling CNN, and its Q-values.

    Args:
        weights: Dictionary, layer name to `(kernel, bias)`, NumPy arrays as the
            Keras layers have them.
        variant: `"jit"`; `"jit, options"`: with the compiler's options that
            keras_dqn gives it on a CPU; or `"jit, matmul"`: convolutions as
            products of matrices.
        learning_rate, epsilon, clipnorm, delta: Floats.
    """

    variants = ("jit", "jit, options", "jit, matmul")

    def __init__(
        self,
        weights,
        variant="jit",
        learning_rate=1e-4,
        epsilon=1e-8,
        clipnorm=10.0,
        delta=1.0,
    ):
        self.rate, self.epsilon = learning_rate, epsilon
        self.clipnorm, self.delta = clipnorm, delta
        self._conv = _matmul_conv if "matmul" in variant else _conv
        online = {name: tuple(map(jnp.array, pair)) for name, pair in weights.items()}
        zeros = jax.tree.map(jnp.zeros_like, online)
        self.target = jax.tree.map(jnp.copy, online)
        self.state = (online, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros(()))
        options = cpu_compiler_options() if "options" in variant else {}
        jit = partial(jax.jit, compiler_options=options)
        self._update = jit(self._step, donate_argnums=0)
        self._q_values = jit(lambda w, x: self._forward(w, _image(x)))

    def update(self, batch):
        """Takes one step. Returns the TD errors, `(batch,)` NumPy."""
        self.state, errors = self._update(self.state, self.target, batch)
        return np.asarray(errors)

    def q_values(self, observations):
        """Returns `(n, actions)` NumPy."""
        return np.asarray(self._q_values(self.state[0], observations))

    def weights(self):
        """Returns the online weights by name, as Keras has them."""
        pairs = self.state[0].items()
        return {
            f"{name}/{part}": np.asarray(array)
            for name, pair in pairs
            for part, array in zip("kb", pair, strict=True)
        }

    def _forward(self, w, x):
        x = x.astype(jnp.float32) / 255.0
        for name, stride in STRIDES.items():
            x = jax.nn.relu(self._conv(x, w[name][0], stride) + w[name][1])
        x = x.reshape(x.shape[0], -1)

        def dense(name, x):
            return x @ w[name][0] + w[name][1]

        scores = dense("advantage_scores", jax.nn.relu(dense("advantage_hidden", x)))
        value = dense("value_score", jax.nn.relu(dense("value_hidden", x)))
        return value + scores - scores.mean(-1, keepdims=True)

    def _step(self, state, target, batch):
        online, momentums, velocities, count = state
        following = _image(batch["next_observations"])
        best = self._forward(online, following).argmax(-1)
        next_q = _at(self._forward(target, following), best)
        targets = batch["rewards"] + batch["discounts"] * next_q

        def loss_of(online):
            q = self._forward(online, _image(batch["observations"]))
            errors = _at(q, batch["actions"]) - targets
            size = jnp.abs(errors)
            arms = self.delta * (size - 0.5 * self.delta)
            huber = jnp.where(size < self.delta, 0.5 * errors**2, arms)
            return jnp.mean(batch["weights"] * huber), errors

        gradients, errors = jax.grad(loss_of, has_aux=True)(online)
        return self._adam(online, momentums, velocities, count, gradients), errors

    def _adam(self, online, momentums, velocities, count, gradients):
        count = count + 1.0
        rate = self.rate * jnp.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)

        def clip(g):
            norm = jnp.sqrt(jnp.sum(g * g))
            return g * (self.clipnorm / jnp.maximum(norm, self.clipnorm))

        g = jax.tree.map(clip, gradients)
        m = jax.tree.map(lambda m, g: m + 0.1 * (g - m), momentums, g)
        v = jax.tree.map(lambda v, g: v + 0.001 * (g * g - v), velocities, g)
        online = jax.tree.map(
            lambda w, m, v: w - rate * m / (jnp.sqrt(v) + self.epsilon), online, m, v
        )
        return online, m, v, count


def _image(observations):
    return observations.transpose(0, 2, 3, 1)


def _at(q, actions):
    return jnp.sum(q * jax.nn.one_hot(actions, q.shape[-1]), -1)


def _conv(x, kernel, stride):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "VALID", dimension_numbers=LAYOUT
    )


def _matmul_conv(x, kernel, stride):
    """A convolution as one product of matrices.

    Blocks of `stride * stride` pixels become channels; then the stride is 1, and
    each output pixel sees a few shifted copies of the image, side by side.
    """
    batch, height, width, channels = x.shape
    size, _, _, filters = kernel.shape
    span = size // stride
    x = x.reshape(
        batch, height // stride, stride, width // stride, stride, channels
    ).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, height // stride, width // stride, -1)
    rows, columns = x.shape[1] - span + 1, x.shape[2] - span + 1
    shifted = [
        x[:, i : i + rows, j : j + columns] for i in range(span) for j in range(span)
    ]
    patches = jnp.concatenate(shifted, -1).reshape(batch * rows * columns, -1)
    kernel = kernel.reshape(span, stride, span, stride, channels, filters)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(-1, filters)
    return (patches @ kernel).reshape(batch, rows, columns, filters)
