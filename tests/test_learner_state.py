"""`state_dict` and `load_state_dict`: names, round trips, refusals."""

import keras
import numpy as np
import pytest

from keras_dqn.algorithms.dqn import DQN
from keras_dqn.backend import Learner
from tests import tiny

NAMES = [
    *(f"online/{number}" for number in range(10)),
    *(f"target/{number}" for number in range(10)),
    *(f"optimizer/{number}" for number in range(22)),
]


def trained(updates):
    learner = tiny.learner()
    for batch in tiny.batches(updates):
        learner.update(batch)
    return learner


def test_names_shapes_and_dtypes_are_the_same_on_every_backend():
    state = tiny.learner().state_dict()
    assert list(state) == NAMES
    # Online: the variables of the network. Adam: steps, learning rate, and a
    # mean and a variance for each variable.
    shapes = [(4, 5), (5,), (5, 4), (4,), (5, 4), (4,), (4, 1), (1,), (4, 3), (3,)]
    assert [state[f"online/{n}"].shape for n in range(10)] == shapes
    assert [state[f"target/{n}"].shape for n in range(10)] == shapes
    slots = [shape for shape in shapes for _ in range(2)]
    assert [state[f"optimizer/{n}"].shape for n in range(22)] == [(), (), *slots]
    assert state.pop("optimizer/0").dtype == "int64"
    assert {array.dtype.name for array in state.values()} == {"float32"}


def test_a_state_saved_by_another_backend_is_taken_over():
    # `tests/data` was written once, by one backend, after 3 updates.
    learner = tiny.learner(seed=1)
    with np.load(tiny.DATA / "tiny_learner.npz") as saved:
        state = dict(saved)
    assert state["optimizer/0"] == 3
    learner.load_state_dict(state)
    tiny.assert_same(learner.state_dict(), state)
    ours = tiny.learner(seed=7)
    for batch in tiny.batches(3):
        ours.update(batch)
    tiny.assert_same(ours.state_dict(), state, atol=1e-5)


def test_updates_after_a_load_are_bit_equal_to_updates_without():
    learner, loaded = trained(3), tiny.learner(seed=1)
    loaded.update(tiny.batch(99))
    loaded.load_state_dict(learner.state_dict())
    for batch in tiny.batches(8)[3:]:
        ours, theirs = learner.update(batch), loaded.update(batch)
        np.testing.assert_array_equal(ours.td_errors, theirs.td_errors)
    tiny.assert_same(loaded.state_dict(), learner.state_dict())
    observations = tiny.batch()["observations"]
    np.testing.assert_array_equal(
        loaded.q_values(observations), learner.q_values(observations)
    )


def test_a_loaded_learning_rate_is_the_one_that_was_saved():
    learner, loaded = trained(1), tiny.learner()
    learner.learning_rate = 0.125
    loaded.load_state_dict(learner.state_dict())
    assert loaded.learning_rate == 0.125


def test_the_arrays_are_copies_both_ways():
    learner = trained(1)
    state = learner.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    learner.update(tiny.batch(5))
    learner.sync_target()
    tiny.assert_same(state, kept)
    learner.load_state_dict(state)
    for array in state.values():
        array[...] = 9
    tiny.assert_same(learner.state_dict(), kept)
    learner.update(tiny.batch(5))


def refused(state, match):
    """Loads a bad state into a fresh learner, which has to stay as it was."""
    learner = trained(1)
    before = learner.state_dict()
    with pytest.raises(ValueError, match=match):
        learner.load_state_dict(state)
    tiny.assert_same(learner.state_dict(), before)


def test_missing_and_unknown_names_are_refused_and_change_nothing():
    state = trained(2).state_dict()
    state["online/10"] = state.pop("optimizer/21")
    refused(state, r"(?i)missing: \['optimizer/21'\].*unknown: \['online/10'\]")


@pytest.mark.parametrize("name", ["online/0", "target/9", "optimizer/21"])
def test_another_shape_is_refused_and_changes_nothing(name):
    state = trained(2).state_dict()
    state[name] = state[name].ravel()[:1].reshape(1, 1, 1)
    refused(state, rf"`state\['{name}'\]` must have shape .*\(1, 1, 1\)")


@pytest.mark.parametrize(
    ("name", "dtype"), [("online/0", "float64"), ("optimizer/0", "float32")]
)
def test_another_dtype_is_refused_and_changes_nothing(name, dtype):
    state = trained(2).state_dict()
    state[name] = state[name].astype(dtype)
    refused(state, rf"`state\['{name}'\]` must have .*dtype {dtype}")


def test_a_loaded_optimizer_has_its_steps_and_both_moments():
    state = trained(3).state_dict()
    fresh = tiny.learner(seed=5)
    fresh.load_state_dict(state)
    assert fresh.optimizer.built
    assert int(keras.ops.convert_to_numpy(fresh.optimizer.iterations.value)) == 3
    slots = {n: a for n, a in state.items() if n.startswith("optimizer") and a.ndim}
    assert len(slots) == 20
    for name, slot in slots.items():
        assert np.any(slot != 0.0), name
        np.testing.assert_array_equal(fresh.state_dict()[name], slot)


def test_what_a_frozen_layer_holds_is_saved_though_nothing_trains_it():
    def learner(mean):
        inputs = keras.Input((4,))
        frozen = keras.layers.BatchNormalization()
        frozen.trainable = False
        network = keras.Model(inputs, keras.layers.Dense(2)(frozen(inputs)))
        frozen.moving_mean.assign(np.full(4, mean))
        model = DQN(network)
        model.compile(optimizer=tiny.adam())
        return Learner(model)

    saved, loaded = learner(mean=3.0), learner(mean=0.0)
    loaded.load_state_dict(saved.state_dict())
    assert sum(np.all(a == 3.0) for a in loaded.state_dict().values()) == 2
    observations = tiny.batch()["observations"]
    np.testing.assert_array_equal(
        loaded.q_values(observations), saved.q_values(observations)
    )
