"""Every optimizer of Keras, by its name: it trains, and its state is resumed."""

import keras
import numpy as np
import pytest

import keras_dqn
from tests import tiny
from tests import toys

CLASSES = {
    name.lower(): each
    for name, each in vars(keras.optimizers).items()
    if isinstance(each, type) and issubclass(each, keras.optimizers.Optimizer)
}
# Those that need other optimizers are tested below and in `test_learner_numbers.py`.
NAMES = sorted(set(CLASSES) - {"optimizer", "lossscaleoptimizer", "multioptimizer"})
RATE = 0.25


def test_the_names_are_those_of_keras():
    assert {"adam", "adamw", "nadam", "adamax", "adagrad", "adadelta"} < set(NAMES)
    assert {"rmsprop", "sgd", "ftrl", "lion", "lamb", "muon"} < set(NAMES)
    assert {"adafactor"} < set(NAMES)


def network(seed=0):
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(2, name="q")(inputs)
    return tiny.with_weights(keras.Model(inputs, outputs), seed)


def batches(count):
    many = tiny.batches(count)
    for batch in many:
        batch["actions"] = batch["actions"] % 2
        for key in ("observations", "next_observations"):
            batch[key] = batch[key][:, :2]
    return many


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_takes_it_by_name_and_goes_on_with_it_when_loaded(tmp_path, name):
    agent = keras_dqn.DQNAgent(network(), keras_dqn.UniformReplay(capacity=32))
    agent.compile(optimizer=name)
    agent.build(keras_dqn.make_envs(toys.CountingEnv, num_envs=2))
    before = tiny.weights(agent.network)
    for batch in batches(2):
        agent.learner.update(batch)
    after = tiny.weights(agent.network)
    tiny.assert_all_differ(after, before)
    assert all(np.all(np.isfinite(each)) for each in after.values())
    agent.save(tmp_path / "agent")
    loaded = keras_dqn.DQNAgent.load(tmp_path / "agent")
    assert isinstance(loaded.learner.optimizer, CLASSES[name])
    for each in (agent, loaded):
        each.learner.update(batches(3)[2])
    tiny.assert_same(loaded.learner.state_dict(), agent.learner.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_fit_takes_the_same_steps(name):
    fitted, stepped = (keras_dqn.DQN(network()) for _ in range(2))
    for model in (fitted, stepped):
        jit_compile = "auto" if keras.config.backend() != "tensorflow" else False
        model.compile(optimizer=CLASSES[name](), jit_compile=jit_compile)
    fitted.fit(tiny.Dataset(batches(3)), verbose=0, shuffle=False)
    learner = keras_dqn.Learner(stepped)
    for batch in batches(3):
        learner.update(batch)
    tiny.assert_same(tiny.online(learner), tiny.weights(fitted.network), atol=1e-5)


@pytest.mark.parametrize("name", ["lossscaleoptimizer", "optimizer", "adm"])
def test_a_name_that_is_none_or_needs_another_optimizer_is_refused(name):
    agent = keras_dqn.DQNAgent(keras_dqn.models.dueling_mlp(2, (2,), (4,)))
    with pytest.raises(ValueError, match="`optimizer` must be a Keras optimizer or"):
        agent.compile(optimizer=name)


def stepped(*batches, start=None, **options):
    """The weights after SGD on the batches, from those of `start`."""
    learner = tiny.learner(keras.optimizers.SGD(**{"learning_rate": RATE, **options}))
    if start is not None:
        for variable in learner.network.weights:
            variable.assign(start[variable.path])
    for batch in batches:
        learner.update(batch)
    return tiny.online(learner), learner


def initial():
    return tiny.weights(tiny.network())


def test_weights_decay_but_for_those_that_are_excluded():
    def decaying():
        optimizer = keras.optimizers.SGD(RATE, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer

    start, (plain, _) = initial(), stepped(tiny.batch())
    learner = tiny.learner(decaying())
    learner.update(tiny.batch())
    found = tiny.online(learner)
    for name in found:
        kept = 0.0 if name.endswith("bias") else RATE * 0.1
        expected = plain[name] - kept * start[name]
        np.testing.assert_allclose(found[name], expected, atol=1e-6, err_msg=name)


def test_accumulated_gradients_are_applied_as_their_mean():
    one, other = tiny.batches(2)
    start, (a, _), (b, _) = initial(), stepped(one), stepped(other)
    half, learner = stepped(one, gradient_accumulation_steps=2)
    tiny.assert_same(half, start)
    learner.update(other)
    found = tiny.online(learner)
    expected = {name: (a[name] + b[name]) / 2 for name in found}
    tiny.assert_same(found, expected, atol=1e-6)


def test_averages_of_the_weights_follow_and_replace_them_at_the_end():
    one, other = tiny.batches(2)
    first, _ = stepped(one)
    second, learner = stepped(one, other, use_ema=True, ema_momentum=0.75)
    tiny.assert_same(second, stepped(one, other)[0], atol=1e-6)
    learner.finalize()
    found = tiny.online(learner)
    expected = {name: 0.75 * first[name] + 0.25 * second[name] for name in found}
    tiny.assert_same(found, expected, atol=1e-6)


def test_each_step_has_the_learning_rate_of_the_schedule():
    one, other = tiny.batches(2)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [RATE, 1.0])
    found, learner = stepped(one, other, learning_rate=schedule)
    first, _ = stepped(one)
    expected, _ = stepped(other, start=first, learning_rate=1.0)
    tiny.assert_same(found, expected, atol=1e-6)
    assert learner.learning_rate == 1.0
