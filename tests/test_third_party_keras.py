"""An agent trains and plays on tasks of other packages."""

import keras
import numpy as np
import pytest

import keras_dqn
from tests import tasks
from tests import tiny


def convolutions(envs):
    """A network for images of a few cells, which it scales itself."""
    high = 255 if envs.observation_dtype == np.uint8 else 1
    inputs = keras.Input(envs.observation_shape, dtype=envs.observation_dtype.name)
    x = keras.ops.cast(inputs, "float32") / high
    x = keras.layers.Conv2D(8, 3, activation="relu", data_format="channels_last")(x)
    features = keras.layers.Flatten(data_format="channels_last")(x)
    q_values = keras_dqn.models.dueling_head(features, envs.num_actions, 16)
    return keras.Model(inputs, q_values)


def dense(envs):
    return keras_dqn.models.dueling_mlp(envs.num_actions, envs.observation_shape, (16,))


@pytest.mark.parametrize(
    ("task", "make_network"),
    [
        (tasks.grid_images, convolutions),
        ("MinAtar/Breakout-v1", convolutions),
        ("LunarLander-v3", dense),
    ],
    ids=["MiniGrid", "MinAtar", "LunarLander"],
)
def test_an_agent_trains_on_a_task_and_plays_it(task, make_network):
    with keras_dqn.make_envs(task, num_envs=2, seed=0) as envs:
        network = make_network(envs)
        agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(256))
        agent.compile(keras.optimizers.Adam(1e-3, clipnorm=10.0))
        before = tiny.weights(network)
        options = dict(batch_size=16, updates_per_iteration=1, monitors=None, seed=0)
        progress = agent.fit(
            envs, env_steps=160, learning_starts_env_steps=64, **options
        )
        kept = agent.replay.sample(8, np.random.default_rng(0)).batch["observations"]
        assert kept.dtype == envs.observation_dtype
    assert progress.env_steps_done == 160
    assert progress.updates >= 5
    assert np.isfinite(progress.loss)
    after = tiny.weights(network)
    assert all(np.isfinite(values).all() for values in after.values())
    tiny.assert_all_differ(after, before)
    result = agent.evaluate(task, episodes=2, epsilon=1.0)
    assert result.scores.shape == (2,)
    assert np.isfinite(result.scores).all()
