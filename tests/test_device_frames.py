"""Frames on the device: the same numbers in, the same weights out."""

import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn import DQNAgent
from keras_dqn import PrioritizedReplay
from keras_dqn.algorithms.dqn import DQN
from keras_dqn.backend import DeviceFrames
from keras_dqn.backend import Learner
from tests import tiny
from tests.reference_replay import HostFrames
from tests.reference_replay import World


@pytest.mark.parametrize(
    ("dtype", "shape"), [("uint8", (3, 2)), ("float32", (4,)), ("bool", ())]
)
def test_the_device_holds_what_the_host_would(dtype, shape):
    rng = np.random.default_rng(0)

    def frames(count):
        return rng.integers(0, 2 if dtype == "bool" else 200, (count, *shape)).astype(
            dtype
        )

    host, device = (make(31, shape, dtype) for make in (HostFrames, DeviceFrames))
    for number in range(40):
        rows, columns = rng.permutation(30)[:5].astype(np.int32), frames(5)
        row, final = int(rng.integers(0, 8 + number // 4)), frames(1)[0]
        for copy in (host, device):
            if number % 10 == 0:
                copy.grow_finals(16 + number)
            copy.write(rows, columns)
            copy.write_final(row, final)
        for size in ((7,), (2, 3)):
            numbers = rng.integers(0, 31 + 16, size).astype(np.int32)
            found = keras.ops.convert_to_numpy(device.gather(device.tables, numbers))
            expected = host.gather(numbers)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


def small_learner():
    inputs = keras.Input((1, 3, 4))
    x = inputs / 64  # torch.compile cannot follow Keras's `Rescaling`
    x = keras.layers.Dense(5, activation="relu")(keras.layers.Flatten()(x))
    network = keras.Model(inputs, keras.layers.Dense(2)(x))
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    model = DQN(network, stack_first=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    return Learner(model)


def lived_replay(n_steps=1):
    world = World(2, 4)
    replay = PrioritizedReplay(40, n_steps=n_steps)
    replay.build(**world.spec)
    replay.start(world.reset())
    for number in range(60):
        ends = [number % 2] if number % 5 == 0 else []
        step = world.step(truncated=ends, restarted=ends, rewards=[number % 3, 1.0])
        replay.add([number % 2, 1], step)
    return replay, world


def train(is_on_device, at_once, n_steps=1):
    """Some updates, with steps stored between. Returns all that came of it."""
    learner, (replay, world) = small_learner(), lived_replay(n_steps)
    if is_on_device:
        learner.attach_frames(replay.attach_frames(DeviceFrames))
    frames = "numbers" if is_on_device else "stacks"
    rng, found = np.random.default_rng(5), []
    for number in range(6):
        batches = None if at_once == 1 else at_once
        sample = replay.sample(8, rng, batches=batches, frames=frames)
        step = learner.update if at_once == 1 else learner.update_many
        update = step(sample.batch)
        replay.update_priorities(sample.ids, update.priorities)
        replay.add([0, 1], world.end(number % 2))
        found.append(np.ravel(update.td_errors))
    sample = replay.sample(8, rng, frames=frames)
    found += [np.ravel(part) for part in learner.update(sample.batch)]
    return {"found": np.concatenate(found), **learner.state_dict()}, learner


# On torch, `tests/test_learner_compiled.py` has the compiled step.
@pytest.mark.usefixtures("torch_traces")
@pytest.mark.parametrize(("at_once", "n_steps"), [(1, 1), (3, 1), (1, 3)])
def test_named_frames_train_bit_for_bit_as_frames_do(at_once, n_steps):
    expected, _ = train(False, at_once, n_steps)
    received, learner = train(True, at_once, n_steps)
    assert expected.keys() == received.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, name)
    is_joined = at_once > 1 and tiny.joins_updates(learner)
    assert learner.trace_counts["update_many" if is_joined else "update"] == 1


def test_attaching_frames_keeps_what_was_learned():
    learner, (replay, _) = small_learner(), lived_replay()
    rng = np.random.default_rng(0)
    learner.update(replay.sample(8, rng).batch)
    before = learner.state_dict()
    learner.attach_frames(replay.attach_frames(DeviceFrames))
    for name, value in learner.state_dict().items():
        np.testing.assert_array_equal(value, before[name], name)
    learner.update(replay.sample(8, rng, frames="numbers").batch)
    learner.attach_frames(replay.attach_frames(None))
    learner.update(replay.sample(8, rng).batch)
    assert learner.state_dict()["optimizer/0"] == 3  # updates


def fit(replay_device):
    """A short run on real frames. Returns the weights and the replay."""
    with keras_dqn.make_envs("Breakout", num_envs=2, seed=0) as envs:
        inputs = keras.Input(envs.observation_shape)
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 25_500)(inputs))
        x = keras.layers.Dense(envs.num_actions)(x)
        network = keras.Model(inputs, x)
        rng = np.random.default_rng(0)
        network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
        agent = DQNAgent(network, PrioritizedReplay(128))
        agent.compile(keras.optimizers.Adam(1e-3))
        agent.fit(
            envs,
            env_steps=160,
            replay_device=replay_device,
            learning_starts_env_steps=64,
            batch_size=8,
            updates_per_iteration=4,
            updates_per_dispatch=2,
            checkpoint_interval_iterations=4,  # the games are cut, too
            histogram_interval_iterations=3,
            monitors=None,
        )
        return {**agent.learner.state_dict(), **agent.replay.state_dict()}


def test_a_run_is_the_same_wherever_the_frames_are():
    expected, received = fit("host"), fit("accelerator")
    assert expected["time"] == 80 and expected["ended"].any()
    assert expected.keys() == received.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, name)


def test_a_fit_with_frames_on_the_host_lets_go_of_those_on_the_device():
    with keras_dqn.make_envs("CartPole-v1", num_envs=2) as envs:
        network = keras_dqn.models.dueling_mlp(envs.num_actions, envs.observation_shape)
        agent = DQNAgent(network, PrioritizedReplay(64))
        agent.compile()
        options = {"env_steps": 40, "learning_starts_env_steps": 32, "monitors": None}
        agent.fit(envs, replay_device="accelerator", **options)
        assert agent.learner.frames is not None
        agent.fit(envs, replay_device="host", **options)
        assert agent.learner.frames is None


def test_agents_that_share_a_replay_do_not_look_into_the_copy_of_another():
    with keras_dqn.make_envs("CartPole-v1", num_envs=2) as envs:
        replay = PrioritizedReplay(64)
        agents = []
        for _ in range(2):
            shape = envs.observation_shape
            network = keras_dqn.models.dueling_mlp(envs.num_actions, shape)
            agents.append(DQNAgent(network, replay))
            agents[-1].compile()
        options = {"env_steps": 40, "learning_starts_env_steps": 32, "monitors": None}
        for agent in (*agents, agents[0]):
            agent.fit(envs, replay_device="accelerator", **options)
            assert agent.learner.frames is replay.attached_frames
