"""`agent.save` and `DQNAgent.load`: everything that an agent is, on any backend."""

import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn import checkpoint
from keras_dqn.models import dueling_mlp
from keras_dqn.runs import digests

FIT = {
    "env_steps": 96,
    "learning_starts_env_steps": 32,
    "batch_size": 8,
    "monitors": None,
}


def make_agent(**options):
    network = dueling_mlp(2, (4,), (8, 8), seed=1)
    replay = keras_dqn.PrioritizedReplay(256, alpha=0.5, gamma=0.9, n_steps=2)
    agent = keras_dqn.DQNAgent(network, replay)
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, 5, 0.9)
    optimizer = keras.optimizers.Adam(schedule, epsilon=1e-4, clipnorm=3.0)
    agent.compile(**{"optimizer": optimizer, "huber_delta": 0.5, **options})
    return agent


def state(agent):
    return digests.of_learner(agent.learner) | digests.of_replay(agent.replay)


def test_a_loaded_agent_goes_on_as_the_saved_one_does(tmp_path):
    agent = make_agent(double_q=np.False_, huber_delta=np.float32(0.5))
    agent.fit("CartPole-v1", **FIT)
    agent.save(tmp_path / "agent")
    loaded = keras_dqn.DQNAgent.load(tmp_path / "agent")
    assert state(loaded) == state(agent)
    assert loaded.replay.settings == agent.replay.settings
    assert loaded.learner.learning_rate == agent.learner.learning_rate < 1e-3
    for each in (agent, loaded):
        each.fit("CartPole-v1", **FIT)
    assert state(loaded) == state(agent)


def test_a_second_save_replaces_the_first(tmp_path):
    agent = make_agent()
    agent.fit("CartPole-v1", **FIT)
    agent.save(tmp_path)  # an empty directory
    agent.fit("CartPole-v1", **FIT)
    for _ in range(3):
        agent.save(tmp_path)
    assert state(keras_dqn.DQNAgent.load(tmp_path)) == state(agent)
    assert len(list(tmp_path.glob("checkpoint-*"))) == 2


def test_without_the_replay_only_the_transitions_are_left_out(tmp_path):
    agent = make_agent()
    agent.fit("CartPole-v1", **FIT)
    agent.save(tmp_path / "agent", replay=False)
    loaded = keras_dqn.DQNAgent.load(tmp_path / "agent")
    assert len(loaded.replay) == 0
    assert loaded.replay.settings == agent.replay.settings
    assert digests.of_learner(loaded.learner) == digests.of_learner(agent.learner)
    loaded.fit("CartPole-v1", **FIT)


def test_an_agent_that_has_not_trained_is_saved_as_it_is(tmp_path):
    bare = keras_dqn.DQNAgent(dueling_mlp(2, (4,), (8, 8), seed=1))
    bare.save(tmp_path / "bare")
    loaded = keras_dqn.DQNAgent.load(tmp_path / "bare")
    batch = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_array_equal(loaded.predict(batch), bare.predict(batch))
    loaded.compile()
    loaded.fit("CartPole-v1", **FIT)
    played = make_agent()
    played.evaluate("CartPole-v1", episodes=1)  # has a learner, but no replay
    played.save(tmp_path / "played")
    loaded = keras_dqn.DQNAgent.load(tmp_path / "played")
    assert digests.of_learner(loaded.learner) == digests.of_learner(played.learner)


def test_stacks_of_frames_are_restored(tmp_path):
    network = keras_dqn.models.dueling_cnn(6, hidden_units=4)
    agent = keras_dqn.DQNAgent(network, keras_dqn.UniformReplay(64))
    agent.compile()
    options = {**FIT, "env_steps": 64, "learning_starts_env_steps": 48, "batch_size": 2}
    agent.fit("Pong", **options, updates_per_iteration=1)
    agent.save(tmp_path)
    loaded = keras_dqn.DQNAgent.load(tmp_path)
    assert state(loaded) == state(agent)
    loaded.fit("Pong", **options, updates_per_iteration=1)


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_a_network_with_a_layer_of_ones_own_is_given(tmp_path):
    def make_network():
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dense(2)(Doubled()(inputs)))

    agent = keras_dqn.DQNAgent(make_network())
    agent.compile()
    agent.evaluate("CartPole-v1", episodes=1)
    agent.save(tmp_path)
    with pytest.raises(ValueError, match="Doubled"):
        keras_dqn.DQNAgent.load(tmp_path)
    loaded = keras_dqn.DQNAgent.load(tmp_path, network=make_network())
    batch = np.ones((1, 4))
    np.testing.assert_array_equal(loaded.predict(batch), agent.predict(batch))


def test_nothing_else_is_overwritten_or_opened(tmp_path):
    agent = make_agent()
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(FileExistsError, match="`path` must be new"):
            agent.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(FileNotFoundError, match="agent.save"):
        keras_dqn.DQNAgent.load(tmp_path / "nothing")
    checkpoint.save(tmp_path / "run", 0, {"learner": {"a": np.zeros(2)}}, {"run": {}})
    with pytest.raises(checkpoint.CheckpointError):
        keras_dqn.DQNAgent.load(tmp_path / "run")


def test_damage_is_found(tmp_path):
    agent = make_agent()
    agent.save(tmp_path)
    (file,) = tmp_path.glob("checkpoint-*/network.bin")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(checkpoint.CheckpointError, match="network.bin"):
        keras_dqn.DQNAgent.load(tmp_path)
