"""`Policy`, and what an agent does with its network besides learning."""

import gymnasium
import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn.models import dueling_mlp
from tests.toys import EchoEnv

FIT = {
    "env_steps": 48,
    "learning_starts_env_steps": 32,
    "batch_size": 8,
    "monitors": None,
}


def make_network(dtype="float32", shape=(2,), actions=3):
    """A network whose Q-values are known: Q(s, a) = s[0] * (a - 1) + s[1]."""
    inputs = keras.Input(shape, dtype=dtype)
    outputs = keras.layers.Dense(actions)(inputs)
    network = keras.Model(inputs, outputs)
    network.set_weights([np.float32([[-1, 0, 1], [1, 1, 1]]), np.zeros(3)])
    return network


def make_agent(actions=2, shape=(4,)):
    network = dueling_mlp(actions, shape, (8, 8), seed=1)
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(256))
    agent.compile()
    return agent


def test_one_observation_gives_one_action_and_a_batch_as_many():
    policy = keras_dqn.Policy(make_network())
    action = policy([2.0, 5.0])
    assert action == 2 and type(action) is int
    actions = policy(np.array([[2.0, 5.0], [-2.0, 5.0]]))
    assert actions.tolist() == [2, 0] and actions.dtype == np.int64
    np.testing.assert_allclose(policy.q_values([2, 5]), [3, 5, 7])
    q_values = policy.q_values([[2, 5], [0, 1]])
    np.testing.assert_allclose(q_values, [[3, 5, 7], [1, 1, 1]])
    assert q_values.dtype == np.float32


def test_epsilon_is_the_probability_of_a_random_action_and_the_seed_repeats_them():
    network, batch = make_network(), np.tile([1.0, 0.0], (6000, 1))
    policy = keras_dqn.Policy(network, epsilon=0.3, seed=4)
    actions = policy(batch)
    # P(greedy) = 0.7 + 0.3 / 3, standard deviation 0.005.
    assert abs((actions == 2).mean() - 0.8) < 0.02
    again = keras_dqn.Policy(network, epsilon=0.3, seed=4)
    np.testing.assert_array_equal(again(batch), actions)
    policy.epsilon = 0.0
    assert (policy(batch) == 2).all()
    others = [keras_dqn.Policy(network, epsilon=1.0)(batch) for _ in range(2)]
    assert (others[0] != others[1]).any()


@pytest.mark.parametrize(
    ("observations", "words"),
    [
        (np.zeros(3), r"\(None, 2\).*shape \(3,\)"),
        (np.zeros((4, 3)), r"shape \(4, 3\)"),
        (np.zeros((1, 1, 2)), r"shape \(1, 1, 2\)"),
        (0.0, r"shape \(\)"),
    ],
)
def test_observations_of_another_shape_are_refused(observations, words):
    policy = keras_dqn.Policy(make_network())
    with pytest.raises(ValueError, match=words):
        policy(observations)
    with pytest.raises(ValueError, match=words):
        policy.q_values(observations)


def test_bytes_are_taken_as_they_are_and_nothing_is_cut_off():
    inputs = keras.Input((2,), dtype="uint8")
    scaled = keras.ops.cast(inputs, "float32") / 255
    network = keras.Model(inputs, keras.layers.Dense(3)(scaled))
    policy = keras_dqn.Policy(network)
    expected = policy.q_values(np.array([255, 3], np.uint8))
    np.testing.assert_array_equal(policy.q_values([255, 3]), expected)
    for wrong in ([256, 3], [0.5, 3], [-1, 3]):
        with pytest.raises(ValueError, match="uint8"):
            policy(wrong)


@pytest.mark.parametrize(
    ("network", "error"),
    [(None, TypeError), ("a.keras", TypeError), (keras.Sequential(), ValueError)],
)
def test_what_is_no_q_network_is_refused(network, error):
    with pytest.raises(error, match="`network`"):
        keras_dqn.Policy(network)


def test_values_out_of_range_are_refused():
    for options in ({"epsilon": 1.5}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            keras_dqn.Policy(make_network(), **options)


def test_a_saved_network_chooses_the_same_actions(tmp_path):
    agent = make_agent()
    agent.network.save(tmp_path / "a.keras")
    loaded = keras_dqn.Policy(keras_dqn.load_network(tmp_path / "a.keras"))
    batch = np.random.default_rng(0).normal(size=(50, 4))
    np.testing.assert_array_equal(loaded(batch), agent.act(batch))
    np.testing.assert_array_equal(loaded.q_values(batch), agent.predict(batch))


def test_an_agent_acts_by_its_current_weights_also_while_it_trains(capsys):
    agent = make_agent()
    policy = agent.policy(seed=0)
    batch = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    before, seen = agent.predict(batch), []

    def look(agent, progress):
        seen.append((policy.q_values(batch), agent.act(batch)))

    agent.fit("CartPole-v1", callbacks=[look], **FIT)
    after = keras.ops.convert_to_numpy(agent.network(batch))
    np.testing.assert_allclose(policy.q_values(batch), after, rtol=1e-5)
    np.testing.assert_allclose(seen[-1][0], after, rtol=1e-5)
    assert (np.abs(after - before) > 1e-4).any()
    assert (agent.act(batch) == after.argmax(axis=1)).all()
    assert {agent.act(batch[0], epsilon=1.0) for _ in range(60)} == {0, 1}
    assert agent.act(batch[0]) == after[0].argmax()  # epsilon is 0 again
    agent.summary()
    assert "dueling_mlp" in capsys.readouterr().out


def test_an_agent_that_was_never_compiled_acts(tmp_path):
    agent = keras_dqn.DQNAgent(make_network())
    assert agent.act([2.0, 0.0]) == 2
    assert agent.predict([[2.0, 0.0]]).shape == (1, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: "CartPole-v1",
        lambda: gymnasium.envs.classic_control.CartPoleEnv,
        lambda: gymnasium.make("CartPole-v1"),
        lambda: gymnasium.make_vec("CartPole-v1", 4, vectorization_mode="sync"),
    ],
    ids=["id", "constructor", "environment", "vector"],
)
def test_fit_takes_whatever_can_be_played(make):
    env, agent = make(), make_agent()
    progress = agent.fit(env, **FIT)
    assert progress.env_steps_done >= 32 and progress.updates > 0
    assert len(agent.evaluate(episodes=2).scores) == 2  # in new environments
    if isinstance(env, gymnasium.vector.VectorEnv):
        assert env.reset()[0].shape == (4, 4)  # still open
        env.close()


def test_fit_makes_the_environments_of_its_settings():
    seen = []
    settings = keras_dqn.presets.atari(
        num_envs=2,
        life_loss="ignore",
        env_steps=40,
        learning_starts_env_steps=36,
        replay_capacity=64,
        replay_kind="uniform",
        batch_size=4,
        updates_per_iteration=1,
    )
    network = keras_dqn.models.dueling_cnn(6, hidden_units=4)
    agent = keras_dqn.DQNAgent(network, keras_dqn.UniformReplay(64, gamma=0.9))
    agent.compile()
    agent.fit(
        "Pong",
        settings=settings,
        monitors=None,
        callbacks=[lambda agent, progress: seen.append(agent._training_envs)],
    )
    assert seen[0].num_envs == 2 and seen[0].env_id == "ALE/Pong"
    assert seen[0].options["life_loss"] == "ignore"
    with pytest.raises(RuntimeError, match="closed"):
        seen[0].reset()


def test_fit_closes_no_environments_that_it_was_given():
    agent = make_agent(4, (4,))
    with keras_dqn.make_envs(EchoEnv, 2) as envs:
        agent.fit(envs, **FIT)
        envs.reset()
