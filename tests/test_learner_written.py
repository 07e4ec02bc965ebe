"""What the user writes between updates holds, and what two learners share is right."""

import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn.backend import Learner
from tests import tiny
from tests import toys


def written(learner):
    """A value that no update would leave: all weights are 0.5."""
    weights = [np.full_like(w, 0.5) for w in learner.network.get_weights()]
    learner.network.set_weights(weights)
    return weights


def assert_weights(network, expected):
    for weight, value in zip(network.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_weights_set_after_an_update_are_acted_on_and_kept():
    learner = tiny.learner()
    learner.update(tiny.batch())
    learner.sync_variables()
    expected = written(learner)
    x = tiny.batch()["observations"]
    q_values = tiny.q_values_of(learner.network, x)
    np.testing.assert_allclose(learner.q_values(x), q_values, rtol=1e-6)
    learner.sync_variables()
    assert_weights(learner.network, expected)


def test_weights_set_between_two_updates_are_trained_on():
    ours, theirs = tiny.learner(), tiny.learner()
    for learner in (ours, theirs):
        learner.update(tiny.batch())
    written(ours)
    theirs.sync_variables()
    written(theirs)
    theirs.pull_variables()
    for learner in (ours, theirs):
        learner.update(tiny.batch(1))
    tiny.assert_same(ours.state_dict(), theirs.state_dict())


def test_one_weight_set_leaves_what_the_others_have_learned():
    learner = tiny.learner()
    learner.update(tiny.batch())
    learned = tiny.online(learner)
    learner.update(tiny.batch(1))
    bias = learner.network.get_layer("value_score").bias
    bias.assign(np.float32([3.0]))  # nobody has looked since the second update
    after = tiny.online(learner)
    assert after["value_score/bias"] == [3.0]
    assert np.any(after["dense1/kernel"] != learned["dense1/kernel"])


def test_weights_of_the_target_and_slots_that_are_set_hold_too():
    learner = tiny.learner()
    learner.update(tiny.batch())
    learner.sync_variables()
    learner.target_network.set_weights(
        [np.full_like(w, 0.25) for w in learner.target_network.get_weights()]
    )
    learner.optimizer.learning_rate = 0.0
    before = tiny.online(learner)
    learner.update(tiny.batch())
    tiny.assert_same(tiny.online(learner), before)  # the learning rate is 0
    assert {float(w.max()) for w in tiny.target(learner).values()} == {0.25}


def test_two_learners_of_one_network_go_on_from_each_other():
    network = tiny.network()

    def made():
        model = tiny.DQN(network)
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        return Learner(model)

    one, other = made(), made()
    for number in range(4):  # in turns, and nobody syncs
        (one, other)[number % 2].update(tiny.batch(number))
    other.sync_variables()
    alone = tiny.DQN(tiny.network())
    alone.compile(optimizer=keras.optimizers.SGD(0.1))
    single = Learner(alone)
    for number in range(4):
        single.update(tiny.batch(number))
    single.sync_variables()
    tiny.assert_same(tiny.weights(network), tiny.weights(single.network))


def test_an_optimizer_of_another_network_is_refused():
    optimizer = tiny.adam()
    tiny.learner(optimizer)
    with pytest.raises(ValueError, match="`optimizer` must be a new one for each netw"):
        tiny.learner(optimizer)


def test_a_layer_frozen_between_two_updates_stays_or_is_refused():
    learner = tiny.learner()
    learner.update(tiny.batch())
    before = tiny.online(learner)
    learner.network.get_layer("dense1").trainable = False
    if keras.config.backend() == "jax":  # Keras's optimizer has no slots for a part
        with pytest.raises(ValueError, match="1:1 to the trainable variables list"):
            learner.update(tiny.batch(1))
        return
    learner.update(tiny.batch(1))
    after = tiny.online(learner)
    np.testing.assert_array_equal(after["dense1/kernel"], before["dense1/kernel"])
    assert np.any(after["value_hidden/kernel"] != before["value_hidden/kernel"])


def make_agent(optimizer=None, **options):
    network = keras_dqn.models.dueling_mlp(4, (4,), (4, 4), seed=1)
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(64))
    agent.compile(optimizer or keras.optimizers.SGD(0.1), **options)
    return agent


def test_compile_keeps_what_the_learner_has_learned():
    agent = make_agent()
    with keras_dqn.make_envs(toys.EchoEnv, num_envs=1, seed=0) as envs:
        agent.build(envs)
        x = np.ones((8, 4), "float32")
        batch = {
            "observations": x,
            "next_observations": x,
            "actions": np.zeros(8, "int32"),
            "rewards": np.ones(8, "float32"),
            "discounts": np.zeros(8, "float32"),
            "weights": np.ones(8, "float32"),
        }
        agent.learner.update(batch)
        learned = agent.learner.q_values(x)
        agent.compile(keras.optimizers.SGD(0.01))
        agent.build(envs)
        np.testing.assert_allclose(agent.learner.q_values(x), learned, atol=1e-6)


def test_fit_ends_with_the_averages_of_an_optimizer_that_keeps_some():
    """As Keras's `fit` does."""
    options = {"batch_size": 8, "learning_starts_env_steps": 32, "monitors": None}
    agent = make_agent(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    plain = make_agent(keras.optimizers.Adam(0.01))
    for each in (agent, plain):
        with keras_dqn.make_envs(toys.EchoEnv, num_envs=2, seed=0) as envs:
            each.fit(envs, env_steps=128, updates_per_iteration=2, **options)
    weights, last = agent.network.get_weights(), plain.network.get_weights()
    assert any(np.any(a != b) for a, b in zip(weights, last, strict=True))
    shapes = [w.shape for w in weights]
    averages = [
        keras.ops.convert_to_numpy(v.value)
        for v in agent.learner.optimizer.variables
        if "average" in v.path or "ema" in v.path
    ]
    assert [a.shape for a in averages] == shapes
    for weight, average in zip(weights, averages, strict=True):
        np.testing.assert_array_equal(weight, average)
