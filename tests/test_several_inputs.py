"""Networks with several inputs, subclassed networks, and Sequential ones without any.

They are trained on environments whose observations have parts.
"""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium import spaces
from keras import layers

import keras_dqn
from keras_dqn import exporting
from keras_dqn.models.single_input import Observation
from keras_dqn.models.single_input import as_vector
from keras_dqn.models.single_input import single_input

FIT = {
    "env_steps": 64,
    "learning_starts_env_steps": 32,
    "batch_size": 8,
    "monitors": None,
}
SPACE = spaces.Dict(
    {
        "image": spaces.Box(0, 255, (6, 5, 1), np.uint8),
        "sight": spaces.Box(-1.0, 1.0, (2, 3), np.float32),
        "room": spaces.Discrete(4),
    }
)
PAIR = spaces.Tuple((SPACE["image"], SPACE["room"]))


class Rooms(gymnasium.Env):
    """Draws observations from a space; the reward is the action."""

    action_space = spaces.Discrete(3)

    def __init__(self, space=SPACE):
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.time += 1
        observation = self.observation_space.sample()
        return observation, float(action), self.time == 9, False, {}


def q_values_of(image, sight=None, room=None):
    """Image as bytes: it must be cast back from the float32 vector."""
    parts = [layers.Flatten()(layers.Rescaling(1 / 255)(image))]
    parts += [layers.Flatten()(sight)] if sight is not None else []
    hidden = layers.Dense(8, activation="relu")(layers.Concatenate()([*parts, room]))
    return layers.Dense(3)(hidden)


def network_of(structure):
    """A functional network with its inputs in a `dict`, `list` or `tuple`."""
    shapes = {"room": (4,), "image": (6, 5, 1), "sight": (2, 3)}  # not in the order
    inputs = {
        name: keras.Input(shape, name=name, dtype="uint8" if name == "image" else None)
        for name, shape in shapes.items()
    }
    outputs = q_values_of(**inputs)
    given = inputs if structure is dict else structure(inputs.values())
    return keras.Model(given, outputs)


class Subclassed(keras.Model):
    """Takes the observation as the environment gives it."""

    def __init__(self, units=8, **options):
        super().__init__(**options)
        self.units = units
        self.flatten = layers.Flatten()
        self.hidden = layers.Dense(units, activation="relu")
        self.head = layers.Dense(3)

    def call(self, observation, training=False):
        if isinstance(observation, dict):
            parts = [observation[name] for name in ("image", "sight", "room")]
        else:
            parts = list(observation)
        return self.head(
            self.hidden(
                keras.ops.concatenate([self.flatten(part) for part in parts], axis=-1)
            )
        )

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def agent_for(network, space=SPACE, **options):
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(256))
    agent.compile(keras.optimizers.Adam(1e-2))
    agent.fit(lambda: Rooms(space), **{**FIT, **options})
    return agent


def parts_in(batch):
    """Parts of some vectors, cut by hand: the space sorts its names."""
    image, room, sight = np.split(batch, [30, 34], axis=1)
    return {
        "image": image.reshape(-1, 6, 5, 1).astype("uint8"),
        "room": room,
        "sight": sight.reshape(-1, 2, 3),
    }


@pytest.mark.parametrize("structure", (dict, list, tuple))
def test_the_inputs_are_the_parts_of_a_dict(structure):
    network = network_of(structure)
    before = network.get_weights()
    agent = agent_for(network)
    assert agent.network is network
    assert all(
        np.any(a != b) for a, b in zip(before, network.get_weights(), strict=True)
    )
    batch = agent.replay.sample(8, np.random.default_rng(0)).batch["observations"]
    parts = parts_in(batch)
    given = parts if structure is dict else [parts[i.name] for i in network.inputs]
    expected = keras.ops.convert_to_numpy(network(given))
    np.testing.assert_allclose(agent.learner.q_values(batch), expected, atol=1e-5)
    np.testing.assert_allclose(agent.predict(parts), expected, atol=1e-5)
    one = {name: part[0] for name, part in parts.items()}
    assert agent.act(one) == expected[0].argmax()
    np.testing.assert_array_equal(agent.policy()(parts), expected.argmax(1))


def test_the_network_alone_is_a_policy(tmp_path):
    network = network_of(dict)
    network.save(tmp_path / "rooms.keras")
    policy = keras_dqn.Policy(keras_dqn.load_network(tmp_path / "rooms.keras"))
    parts = parts_in(np.random.default_rng(0).uniform(0, 1, (5, 40)).astype("float32"))
    expected = keras.ops.convert_to_numpy(network(parts))
    np.testing.assert_allclose(policy.q_values(parts), expected, atol=1e-5)
    one = {name: part[2] for name, part in parts.items()}
    assert policy(one) == expected[2].argmax()


def test_a_greedy_model_and_an_export_of_several_inputs(tmp_path):
    network = network_of(dict)
    parts = parts_in(np.random.default_rng(0).uniform(0, 1, (5, 40)).astype("float32"))
    actions = keras.ops.convert_to_numpy(keras_dqn.models.greedy(network)(parts))
    expected = keras.ops.convert_to_numpy(network(parts)).argmax(1)
    np.testing.assert_array_equal(actions, expected)
    with pytest.raises(ValueError, match="one input.*Received: 3 inputs"):
        exporting.export(network, tmp_path / "a.keras", "keras")


def test_the_inputs_are_the_parts_of_a_tuple_in_their_order():
    image, room = keras.Input((6, 5, 1), dtype="uint8"), keras.Input((4,))
    network = keras.Model([image, room], q_values_of(image, room=room))
    agent = agent_for(network, PAIR)
    observation = (np.full((6, 5, 1), 7, np.uint8), np.float32([0, 0, 1, 0]))
    batch = [part[None] for part in observation]
    expected = keras.ops.convert_to_numpy(network(batch))[0]
    np.testing.assert_allclose(agent.predict(observation), expected, atol=1e-5)


@pytest.mark.parametrize("space", (SPACE, PAIR), ids=("dict", "tuple"))
def test_a_subclassed_network_takes_what_the_environment_gives(space):
    network = Subclassed()
    agent = agent_for(network, space)
    assert agent.network is network and network.built
    assert agent.evaluate(episodes=2).scores.shape == (2,)
    learned = network.get_weights()
    agent.fit(lambda: Rooms(space), **FIT)
    assert any(
        np.any(a != b) for a, b in zip(learned, network.get_weights(), strict=True)
    )


def test_a_subclassed_network_takes_an_array():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(2)

        def call(self, observation):
            return self.head(observation)

    agent = keras_dqn.DQNAgent(Plain(), keras_dqn.PrioritizedReplay(256))
    agent.compile(keras.optimizers.Adam(1e-2))
    agent.fit("CartPole-v1", **FIT)
    assert agent.act(np.zeros(4)) in (0, 1)


def test_a_sequential_network_is_built_by_the_environment():
    network = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(256))
    agent.compile(keras.optimizers.Adam(1e-2))
    agent.fit("CartPole-v1", **FIT)
    assert network.built and network.input_shape == (None, 4)


@pytest.mark.parametrize("make", (lambda: network_of(dict), Subclassed))
def test_a_saved_agent_goes_on(tmp_path, make):
    agent = agent_for(make())
    agent.save(tmp_path)
    # Layers of one's own are not read from a file.
    given = Subclassed() if make is Subclassed else None
    loaded = keras_dqn.DQNAgent.load(tmp_path, given)
    for each in (agent, loaded):
        each.fit(lambda: Rooms(), **FIT)
    for one, other in zip(
        agent.network.get_weights(), loaded.network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def observation_of(space):
    with keras_dqn.make_envs(lambda: Rooms(space)) as envs:
        return Observation.of(envs)


def test_wrong_inputs_are_refused_by_name():
    image, room = keras.Input((6, 5, 1), name="image"), keras.Input((4,), name="rooms")
    network = keras.Model([image, room], q_values_of(image, room=room))
    for space in (SPACE, spaces.Dict({"image": PAIR[0], "room": PAIR[1]})):
        with pytest.raises(ValueError, match="parts of the observation.*room.*rooms"):
            single_input(network, observation_of(space))
    wrong = spaces.Tuple((PAIR[0], spaces.Discrete(5)))
    with pytest.raises(ValueError, match=r"parts of the observation.*\(5,\).*\[4\]"):
        single_input(network, observation_of(wrong))
    with pytest.raises(ValueError, match="parts of the observation.*Received"):
        single_input(network, observation_of(spaces.Box(0, 1, (40,))))


def test_a_subclassed_network_that_fails_says_on_what():
    with pytest.raises(ValueError, match="cannot be called.*float32.*It raised"):
        single_input(Subclassed(), observation_of(spaces.Dict({"a": PAIR[1]})))


def test_other_observations_than_before_are_refused():
    agent = agent_for(Subclassed())
    with pytest.raises(ValueError, match="observations of those before"):
        agent.fit(lambda: Rooms(PAIR), **FIT)


def test_a_policy_of_an_agent_that_was_never_built_says_what_is_missing():
    agent = keras_dqn.DQNAgent(Subclassed())
    with pytest.raises(ValueError, match="after `build` or `fit`"):
        agent.policy()


PARTS = (("a", (2,)), ("b", ()))


def test_parts_become_vectors():
    one, is_single = as_vector({"b": 3, "a": [1, 2]}, PARTS)
    assert is_single and one.tolist() == [[1, 2, 3]] and one.dtype == np.float32
    batch, is_single = as_vector([[[1, 2], [4, 5]], [3, 6]], PARTS)
    assert not is_single and batch.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "wrong",
    (
        {"a": [1, 2]},
        {"a": [1, 2], "b": 3, "c": 4},
        {"a": [1, 2], "b": [3]},
        {"a": [[1, 2]], "b": [3, 4]},
        {"a": [1, 2, 3], "b": 3},
        [[1, 2]],
        "ab",
        7,
    ),
    ids=str,
)
def test_wrong_parts_are_refused(wrong):
    with pytest.raises(ValueError, match="`observations` must"):
        as_vector(wrong, PARTS)
