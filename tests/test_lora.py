"""LoRA (`enable_lora`): which weights learn, and that copies and files keep it."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_dqn
from keras_dqn.models import copy_network
from keras_dqn.models.precision import with_precision
from tests import tiny
from tests import toys

KINDS = {"dense": toys.CountingEnv, "convolution": toys.ImageEnv}


def network(kind, actions):
    keras.utils.set_random_seed(0)
    if kind == "dense":
        inputs = keras.Input((2,))
        x = layers.Dense(6, activation="relu", name="body")(inputs)
    else:
        inputs = keras.Input((12, 12, 3), dtype="uint8")
        x = layers.Rescaling(1 / 255)(inputs)
        x = layers.Conv2D(4, 3, name="body", data_format="channels_last")(x)
        x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(actions, name="q")(x))


def agent_of(kind):
    made = network(kind, 2 if kind == "dense" else 3)
    agent = keras_dqn.DQNAgent(made, keras_dqn.UniformReplay(capacity=64))
    compiled(agent)
    return agent


def compiled(agent):
    agent.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile="auto")


def fit(agent, kind, seed=1):
    agent.fit(
        KINDS[kind],
        env_steps=32,
        vector_steps_per_iteration=1,
        batch_size=4,
        learning_starts_env_steps=8,
        target_sync_env_steps=8,
        monitors=None,
        seed=seed,
    )


def enable(agent, **options):
    body = agent.network.get_layer("body")
    body.enable_lora(2, **options)
    return body


def outputs(model):
    shape = (3, *model.input_shape[1:])
    x = np.random.default_rng(0).uniform(0, 9, shape).astype(model.inputs[0].dtype)
    return tiny.q_values_of(model, x).astype("float32")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before fit", "between fits"])
def test_low_rank_weights_learn_the_kernel_stays_and_the_target_follows(kind, when):
    agent = agent_of(kind)
    if when == "between fits":
        fit(agent, kind)
        enable(agent)
        compiled(agent)
    else:
        enable(agent)
    before = tiny.weights(agent.network)
    fit(agent, kind)
    after = tiny.weights(agent.network)
    stay = {name for name in after if np.all(after[name] == before[name])}
    assert stay == {"body/kernel"}
    agent.learner.sync_target()
    agent.learner.sync_variables()
    found = outputs(agent.learner.target_network)
    np.testing.assert_allclose(found, outputs(agent.network), rtol=1e-5)


def test_a_layer_that_gets_lora_in_training_is_refused_until_the_next_compile():
    agent = agent_of("dense")
    fit(agent, "dense")
    enable(agent)
    batch = agent.replay.sample(4, np.random.default_rng(0)).batch
    expected = r"call `compile` with a new optimizer.*body/lora_kernel_a"
    for use in (
        lambda: fit(agent, "dense"),
        lambda: agent.learner.update(batch),
        lambda: agent.learner.q_values(batch["observations"]),
        agent.learner.state_dict,
    ):
        before = tiny.weights(agent.network)
        with pytest.raises(ValueError, match=expected):
            use()
        tiny.assert_same(tiny.weights(agent.network), before)
    compiled(agent)
    fit(agent, "dense")


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_agent_goes_on_bit_for_bit(tmp_path, kind):
    agent = agent_of(kind)
    enable(agent, lora_alpha=8.0)
    fit(agent, kind)
    agent.save(tmp_path / "agent")
    loaded = keras_dqn.DQNAgent.load(tmp_path / "agent")
    np.testing.assert_array_equal(outputs(loaded.network), outputs(agent.network))
    for each in (agent, loaded):
        fit(each, kind, seed=2)
    tiny.assert_same(tiny.weights(loaded.network), tiny.weights(agent.network))


def trained(kind="dense", **options):
    agent = agent_of(kind)
    enable(agent, **options)
    fit(agent, kind)
    return agent.network


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_network_computes_the_same_and_its_low_rank_weights_learn(
    tmp_path, kind
):
    saved = trained(kind, lora_alpha=8.0)
    saved.save(tmp_path / "network.keras")
    loaded = keras_dqn.load_network(tmp_path / "network.keras")
    np.testing.assert_allclose(outputs(loaded), outputs(saved), rtol=1e-4, atol=1e-5)
    assert loaded.get_layer("body").lora_alpha == 8.0
    agent = keras_dqn.DQNAgent(loaded, keras_dqn.UniformReplay(capacity=64))
    compiled(agent)
    before = tiny.weights(agent.network)
    fit(agent, kind)
    after = tiny.weights(agent.network)
    for name in ("body/lora_kernel_a", "body/lora_kernel_b"):
        assert np.any(after[name] != before[name]), name


def test_one_name_with_two_scales_is_refused_as_it_cannot_be_restored(tmp_path):
    def block(alpha):
        inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="same")])
        inner.layers[0].enable_lora(2, lora_alpha=alpha)
        return inner

    inputs = keras.Input((4,))
    made = keras.Model(inputs, block(8.0)(block(2.0)(inputs)))
    made.save(tmp_path / "network.keras")
    with pytest.raises(ValueError, match="'same' must have one `lora_alpha`"):
        keras_dqn.load_network(tmp_path / "network.keras")


def test_low_rank_weights_that_cannot_learn_are_warned_of_by_name(tmp_path):
    trained().save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    with pytest.warns(UserWarning, match=r"'body'.*all zero.*keras_dqn.load_network"):
        keras_dqn.DQNAgent(loaded)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_copy_of_another_precision_computes_the_same(precision):
    network = trained(lora_alpha=8.0)
    expected = outputs(network)
    atol = {"float16": 1e-2, "int8": 5e-2}[precision] * np.abs(expected).max()
    found = outputs(with_precision(network, precision))
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def test_an_int8_network_learns_by_low_rank_weights_alone():
    made = network("dense", 2)
    with pytest.warns(UserWarning, match="does not have a `quantize` method"):
        made.quantize("int8")
    made.get_layer("body").enable_lora(2)
    np.testing.assert_allclose(outputs(copy_network(made)), outputs(made), rtol=1e-5)
    agent = keras_dqn.DQNAgent(made, keras_dqn.UniformReplay(capacity=64))
    compiled(agent)
    before = tiny.weights(agent.network)
    fit(agent, "dense")
    after = tiny.weights(agent.network)
    moved = {name for name in after if np.any(after[name] != before[name])}
    names = ("body/lora_kernel_a", "body/lora_kernel_b", "body/bias", "q/bias")
    assert moved == set(names)
