"""Networks whose layers have state: it goes through the step, and nowhere else."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_dqn.algorithms.dqn import DQN
from keras_dqn.backend import Learner
from tests import tiny

pytestmark = pytest.mark.filterwarnings("ignore:torch.compile failed")

STATEFUL = {
    "batch normalization": lambda: layers.BatchNormalization(momentum=0.5),
    "dropout": lambda: layers.Dropout(0.5, seed=3),
    "noise": lambda: layers.GaussianNoise(0.5, seed=3),
    "nested": lambda: keras.Sequential(
        [keras.Input((6,)), layers.BatchNormalization(), layers.Dropout(0.5, seed=3)]
    ),
    "spectral normalization": lambda: layers.SpectralNormalization(layers.Dense(6)),
    "recurrent dropout": lambda: keras.Sequential(
        [layers.Reshape((3, 2)), layers.LSTM(6, dropout=0.5, seed=3)]
    ),
}


def network(kind, seed=0):
    keras.utils.set_random_seed(seed)  # for state that layers draw
    inputs = keras.Input((tiny.FEATURES,))
    x = layers.Dense(6, activation="tanh", name="before")(inputs)
    x = STATEFUL[kind]()(x)
    model = keras.Model(inputs, layers.Dense(tiny.ACTIONS, name="q")(x))
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


def model_of(kind, **options):
    model = DQN(network(kind), **options)
    jit_compile = "auto" if keras.config.backend() != "tensorflow" else False
    model.compile(optimizer=tiny.adam(), jit_compile=jit_compile)
    return model


def state_of(model):
    """The network's variables that are not trained."""
    return [
        np.array(keras.ops.convert_to_numpy(v.value))
        for v in model.non_trainable_variables
    ]


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", STATEFUL)
def test_the_trained_pass_moves_the_state_and_no_other_does(kind):
    learner = Learner(model_of(kind))
    before = state_of(learner.network)
    batch = tiny.batch()
    learner.q_values(batch["observations"])
    learner.sync_variables()
    assert_equal(state_of(learner.network), before)
    target = state_of(learner.target_network)
    learner.update(batch)
    learner.sync_variables()
    pairs = zip(state_of(learner.network), before, strict=True)
    assert any(np.any(new != old) for new, old in pairs)
    assert_equal(state_of(learner.target_network), target)


@pytest.mark.parametrize("kind", STATEFUL)
def test_a_sync_copies_the_state_too(kind):
    learner = Learner(model_of(kind))
    learner.update(tiny.batch())
    learner.sync_target()
    tiny.assert_same(
        dict(enumerate(tiny.target(learner).values())),
        dict(enumerate(tiny.online(learner).values())),
    )
    x = tiny.batch()["observations"]
    np.testing.assert_allclose(
        tiny.q_values_of(learner.target_network, x),
        tiny.q_values_of(learner.network, x),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", STATEFUL)
def test_a_resumed_learner_goes_on_bit_for_bit(kind):
    whole, stopped = Learner(model_of(kind)), Learner(model_of(kind))
    many = tiny.batches(4)
    for batch in many:
        whole.update(batch)
    for batch in many[:2]:
        stopped.update(batch)
    resumed = Learner(model_of(kind))
    resumed.load_state_dict(stopped.state_dict())
    for batch in many[2:]:
        resumed.update(batch)
    tiny.assert_same(resumed.state_dict(), whole.state_dict())


@pytest.mark.parametrize("kind", STATEFUL)
def test_fit_and_a_learner_move_weights_and_state_alike(kind):
    fitted, learner = model_of(kind), Learner(model_of(kind))
    many = tiny.batches(3)
    fitted.fit(tiny.Dataset(many), epochs=1, verbose=0, shuffle=False)
    for batch in many:
        learner.update(batch)
    learner.sync_variables()
    pairs = zip(fitted.network.variables, learner.network.variables, strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(one.value),
            keras.ops.convert_to_numpy(other.value),
            atol=1e-5,
            err_msg=one.path,
        )


@pytest.mark.parametrize("kind", ["batch normalization", "dropout"])
def test_several_updates_in_a_dispatch_are_the_same_as_one_by_one(kind):
    together, single = Learner(model_of(kind)), Learner(model_of(kind))
    together.update_many(tiny.stacked(tiny.batches(3)))
    for batch in tiny.batches(3):
        single.update(batch)
    ours, theirs = together.state_dict(), single.state_dict()
    tiny.assert_same(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("kind", STATEFUL)
def test_a_step_that_is_not_finite_leaves_the_state_as_it_was(kind):
    learner = Learner(model_of(kind))
    learner.update(tiny.batch())
    before = learner.state_dict()
    batch = tiny.batch(1)
    batch["observations"][0, 0] = np.nan
    with pytest.raises(FloatingPointError):
        learner.update(batch)
    tiny.assert_same(learner.state_dict(), before)


def test_dropout_changes_what_is_trained_and_not_what_is_asked():
    learner = Learner(model_of("dropout", target_sync_updates=None))
    x = tiny.batch()["observations"]
    first = learner.q_values(x)
    np.testing.assert_array_equal(learner.q_values(x), first)
    frozen = keras.optimizers.SGD(0.0)
    model = DQN(network("dropout"))
    model.compile(optimizer=frozen)
    still = Learner(model)
    found = [still.update(tiny.batch()).q_values for _ in range(2)]
    assert np.any(found[0] != found[1])  # other units dropped: another draw


class BatchNormTwin:
    """Dense without activation, batch normalization, Dense, in float64.

    Args:
        weights: Kernel, bias, gamma, beta, moving mean, moving variance, kernel, bias.
    """

    def __init__(self, weights, momentum, epsilon=1e-3):
        self.w = [np.array(w, "float64") for w in weights]
        self.momentum, self.epsilon = momentum, epsilon

    def inference(self, x):
        k1, b1, gamma, beta, mean, variance, k2, b2 = self.w
        h = x @ k1 + b1
        return (gamma * (h - mean) / np.sqrt(variance + self.epsilon) + beta) @ k2 + b2

    def step(self, batch, targets, learning_rate):
        """Plain gradient descent on the weighted Huber loss; moves the averages."""
        k1, b1, gamma, beta, mean, variance, k2, b2 = self.w
        x, rows = batch["observations"].astype("float64"), np.arange(len(targets))
        h = x @ k1 + b1
        m, v = h.mean(axis=0), h.var(axis=0)
        std = np.sqrt(v + self.epsilon)
        normal = (h - m) / std
        y = gamma * normal + beta
        q = y @ k2 + b2
        td = q[rows, batch["actions"]] - targets
        dq = np.zeros_like(q)
        dq[rows, batch["actions"]] = batch["weights"] * np.clip(td, -1, 1) / len(td)
        dy = dq @ k2.T
        dn = dy * gamma
        # The batch's mean and variance depend on every row.
        dh = (dn - dn.mean(axis=0) - normal * (dn * normal).mean(axis=0)) / std
        gradients = [x.T @ dh, dh.sum(0), (dy * normal).sum(0), dy.sum(0), 0, 0]
        gradients += [y.T @ dq, dq.sum(0)]
        self.w = [w - learning_rate * g for w, g in zip(self.w, gradients, strict=True)]
        self.w[4] = self.momentum * mean + (1 - self.momentum) * m
        self.w[5] = self.momentum * variance + (1 - self.momentum) * v
        return td


def test_a_step_through_batch_normalization_equals_its_twin():
    inputs = keras.Input((tiny.FEATURES,))
    x = layers.Dense(5)(inputs)
    x = layers.BatchNormalization(momentum=0.75)(x)
    net = keras.Model(inputs, layers.Dense(tiny.ACTIONS)(x))
    rng = np.random.default_rng(0)
    values = [rng.normal(size=w.shape) for w in net.get_weights()]
    values[5] = np.abs(values[5]) + 0.5  # a variance
    net.set_weights(values)
    model = DQN(net)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    learner = Learner(model)
    online = BatchNormTwin(net.get_weights(), momentum=0.75)
    target = BatchNormTwin(net.get_weights(), momentum=0.75)
    for number, batch in enumerate(tiny.batches(4)):
        after = batch["next_observations"].astype("float64")
        best = online.inference(after).argmax(axis=1)
        values = target.inference(after)[np.arange(len(best)), best]
        td = online.step(batch, batch["rewards"] + batch["discounts"] * values, 0.1)
        update = learner.update(batch)
        np.testing.assert_allclose(update.td_errors, td, rtol=1e-4, atol=1e-4)
        if number == 1:
            learner.sync_target()
            target.w = [w.copy() for w in online.w]
    learner.sync_variables()
    for ours, theirs in zip(net.get_weights(), online.w, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "regularized",
    [
        {"kernel_regularizer": keras.regularizers.L2(10.0)},
        {"activity_regularizer": keras.regularizers.L2(10.0)},
    ],
    ids=["kernel", "activity"],
)
def test_the_losses_of_layers_are_trained_as_keras_does(regularized):
    def trained(fit):
        inputs = keras.Input((tiny.FEATURES,))
        q = layers.Dense(tiny.ACTIONS, kernel_initializer="ones", **regularized)
        model = DQN(keras.Model(inputs, q(inputs)))
        model.compile(optimizer=keras.optimizers.SGD(1e-3), jit_compile=False)
        if fit:
            history = model.fit(tiny.Dataset(tiny.batches(1)), verbose=0).history
            return history["loss"][0], model.network.get_weights()
        learner = Learner(model)
        loss = learner.update(tiny.batch(0)).loss
        learner.sync_variables()
        return loss, model.network.get_weights()

    (loss, weights), (fit_loss, fit_weights) = trained(False), trained(True)
    assert loss == pytest.approx(fit_loss, rel=1e-5)
    for one, other in zip(weights, fit_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    # Without the regularizer the kernel hardly moves from 1: gradients are below 1.
    assert np.abs(weights[0] - 1.0).max() > 1e-2


def normalized(data):
    norm = layers.Normalization(name="norm")
    norm.adapt(data)
    inputs = keras.Input((tiny.FEATURES,))
    q = layers.Dense(tiny.ACTIONS, kernel_initializer="ones", name="q")
    model = DQN(keras.Model(inputs, q(norm(inputs))))
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    return Learner(model)


FEW = np.arange(8.0 * tiny.FEATURES, dtype="float32").reshape(8, tiny.FEATURES)
OTHERS = 10 * FEW + 500


def assert_normalizes_like(learner, other, x=FEW[:3]):
    """What acts, what is trained and both Keras models compute the same."""
    batch = {**tiny.batch(size=3), "observations": x, "next_observations": x}
    for one, two in (
        (learner.q_values(x), other.q_values(x)),
        (learner.update(batch).td_errors, other.update(batch).td_errors),
        (tiny.q_values_of(learner.network, x), tiny.q_values_of(other.network, x)),
        (
            tiny.q_values_of(learner.target_network, x),
            tiny.q_values_of(other.target_network, x),
        ),
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("has_acted", [False, True])
def test_a_resumed_learner_normalizes_as_the_one_that_was_saved(has_acted):
    saved, resumed = normalized(FEW), normalized(OTHERS)
    if has_acted:
        resumed.q_values(FEW[:3])
        resumed.update(tiny.batch(size=3))
    resumed.load_state_dict(saved.state_dict())
    assert_normalizes_like(resumed, saved)


def test_what_is_adapted_later_holds_at_once_and_for_the_target_from_the_next_sync():
    learner, expected, x = normalized(FEW), normalized(OTHERS), FEW[:3]
    before = learner.q_values(x)
    learner.update(tiny.batch(size=3))
    learner.network.get_layer("norm").adapt(OTHERS)
    np.testing.assert_allclose(learner.q_values(x), expected.q_values(x), rtol=1e-5)
    target = tiny.q_values_of(learner.target_network, x)
    np.testing.assert_allclose(target, before, rtol=1e-5)
    learner.sync_target()
    learner.sync_variables()
    assert_normalizes_like(learner, expected)


def test_a_network_that_normalizes_is_compiled_once_for_all_syncs():
    learner = normalized(FEW)
    for batch in tiny.batches(3):
        learner.q_values(FEW[:3])
        learner.update(batch)
        learner.sync_target()
    if keras.config.backend() != "torch":
        assert learner.trace_counts["update"] == 1
        assert learner.trace_counts["q_values"] == 1
