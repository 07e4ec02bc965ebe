"""The tiny network, batches and models which the tests of the Keras half share.

`python -m tests.tiny` writes the files `tiny*` of `tests/data` anew: a model and a
learner as one backend saves them, for all of them to open.
"""

import pathlib
import shutil

import keras
import numpy as np

from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.dqn import DQN
from keras_dqn.backend import Learner
from keras_dqn.models import dueling as models
from tests import reference

# The batches need no Keras, so they are there.
ACTIONS, FEATURES = reference.ACTIONS, reference.FEATURES
batch, batches, stacked = reference.batch, reference.batches, reference.stacked
IS_TORCH = keras.config.backend() == "torch"
# Without a C++ compiler torch runs eagerly.
HAS_COMPILER = not IS_TORCH or any(map(shutil.which, ("c++", "g++", "clang++")))
DATA = pathlib.Path(__file__).parent / "data"


def network(seed=0):
    """A dueling MLP with weights of one size, the same on all backends."""
    return with_weights(models.dueling_mlp(ACTIONS, (FEATURES,), (5, 4)), seed)


def with_weights(model, seed):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def adam(**changes):
    return keras.optimizers.Adam(
        **{"learning_rate": 1e-2, "epsilon": 1e-8, "clipnorm": 0.5, **changes}
    )


def model(optimizer=None, seed=0, huber_delta=1.0, **options):
    """A compiled `DQN` whose target network differs from the online one."""
    dqn = DQN(network(seed), distribution=Scalar(huber_delta), **options)
    with_weights(dqn.target_network, seed + 100)
    # XLA takes seconds to compile each of TensorFlow's `fit`s.
    jit_compile = "auto" if keras.config.backend() != "tensorflow" else False
    dqn.compile(optimizer=optimizer or adam(), jit_compile=jit_compile)
    return dqn


def learner(optimizer=None, seed=0, **options):
    return Learner(model(optimizer, seed, **options))


def traces(learner):
    """How often the functions that every backend compiles were traced."""
    return {name: learner.trace_counts[name] for name in ("update", "q_values")}


def joins_updates(learner):
    """Whether `update_many` is a function of its own, and not a loop of updates."""
    return not IS_TORCH and getattr(learner, "is_fused", True)


def weights(keras_model):
    """Copies of a model's weights by name."""
    return {
        variable.path: np.array(keras.ops.convert_to_numpy(variable.value))
        for variable in keras_model.weights
    }


def q_values_of(model, observations):
    """What the model makes of NumPy observations, whatever it puts out."""
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(observations)))


def online(learner):
    """The online network's weights by name, as the learner has them."""
    learner.sync_variables()
    return weights(learner.network)


def target(learner):
    """The target network's."""
    learner.sync_variables()
    return weights(learner.target_network)


def twin(keras_model):
    return reference.DuelingMLP(weights(keras_model))


def assert_same(actual, expected, atol=0.0):
    """Both are dictionaries of arrays. Equal bit for bit by default."""
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(
            actual[name], expected[name], rtol=0, atol=atol, err_msg=name
        )


def assert_all_differ(actual, expected):
    assert actual.keys() == expected.keys()
    for name in expected:
        assert np.any(actual[name] != expected[name]), name


class Dataset(keras.utils.PyDataset):
    """A Keras dataset of given batches, in order (`fit(..., shuffle=False)`)."""

    def __init__(self, many):
        super().__init__()
        self._batches = many

    def __len__(self):
        return len(self._batches)

    def __getitem__(self, index):
        return self._batches[index]


def gradient(function, x):
    """d(sum of `function(x)`)/dx on the running backend; zeros if there is none."""
    x = np.float32(x)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(function(tf.identity(x)))
        grad = tape.gradient(y, x)
        return np.zeros(x.shape) if grad is None else grad.numpy()
    if keras.config.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: function(x).sum())(x))
    import torch

    x = torch.tensor(x, requires_grad=True)
    y = function(x).sum()
    return (
        torch.autograd.grad(y, x)[0].numpy() if y.requires_grad else np.zeros(x.shape)
    )


def write_data():
    DATA.mkdir(exist_ok=True)
    saved = network(seed=7)
    observations = np.random.default_rng(8).normal(size=(6, FEATURES))
    saved.save(DATA / "tiny.keras")
    state = learner(seed=7)
    for one in batches(3):
        state.update(one)
    np.savez(
        DATA / "tiny.npz",
        observations=observations.astype("float32"),
        q_values=reference.DuelingMLP(weights(saved))(observations.astype("float32")),
    )
    np.savez(DATA / "tiny_learner.npz", **state.state_dict())


if __name__ == "__main__":
    write_data()
