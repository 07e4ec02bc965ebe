"""What a learner refuses: batches, models, backends."""

import runpy

import keras
import numpy as np
import pytest

import keras_dqn.backend
from keras_dqn.algorithms.dqn import BATCH_KEYS
from keras_dqn.backend import Learner
from tests import tiny


@pytest.mark.parametrize("key", BATCH_KEYS)
def test_a_missing_or_unknown_key_is_refused(key):
    learner, batch = tiny.learner(), tiny.batch()
    missing = {k: v for k, v in batch.items() if k != key}
    for step in (learner.update, learner.update_many):
        with pytest.raises(ValueError, match="`batch` must be a dictionary with the"):
            step(missing)
        with pytest.raises(ValueError, match=rf"Received: .*'{key}_2'"):
            step({**batch, f"{key}_2": batch[key]})


@pytest.mark.parametrize("batch", [None, [1, 2], ({},)])
def test_a_batch_that_is_no_dictionary_is_refused(batch):
    with pytest.raises(ValueError, match=f"Received: {type(batch).__name__}"):
        tiny.learner().update(batch)


VECTORS = ["rewards", "discounts", "weights"]


@pytest.mark.parametrize("key", VECTORS)
def test_a_column_where_a_row_is_due_is_refused_by_name(key):
    learner, batch = tiny.learner(), tiny.batch()
    batch[key] = batch[key][:, None]
    for step in (learner.update,):
        with pytest.raises(ValueError, match=rf"`{key}` must .*shape=\(8, 1\)"):
            step(batch)


@pytest.mark.parametrize("key", [*VECTORS, "observations", "next_observations"])
def test_arrays_of_another_batch_size_are_refused_by_name(key):
    batch = tiny.batch()
    batch[key] = batch[key][:-1]
    with pytest.raises(ValueError, match=rf"`{key}` must have .*\(8,\)"):
        tiny.learner().update(batch)


def test_minibatches_are_refused_by_update_and_a_batch_by_update_many():
    learner, batch = tiny.learner(), tiny.batch()
    with pytest.raises(ValueError, match=r"the dimensions \(batch\)"):
        learner.update(tiny.stacked([batch]))
    with pytest.raises(ValueError, match=r"the dimensions \(minibatches, batch\)"):
        learner.update_many(batch)
    with pytest.raises(ValueError, match="at least 1 each"):
        learner.update({key: value[:0] for key, value in batch.items()})


@pytest.mark.parametrize("bad", [-1, tiny.ACTIONS])
def test_an_action_that_the_network_does_not_have_is_refused(bad):
    batch = tiny.batch()
    batch["actions"][3] = bad
    with pytest.raises(ValueError, match="`actions` must be from 0 to 2.*Received"):
        tiny.learner().update(batch)


def test_actions_that_are_no_integers_are_refused():
    batch = tiny.batch()
    batch["actions"] = batch["actions"].astype("float32")
    with pytest.raises(ValueError, match="`actions` must be integers.*float32"):
        tiny.learner().update(batch)


def test_a_refused_batch_changes_nothing():
    learner = tiny.learner()
    before = learner.state_dict()
    with pytest.raises(ValueError):
        learner.update({**tiny.batch(), "weights": np.ones((8, 1), "float32")})
    tiny.assert_same(learner.state_dict(), before)
    learner.update(tiny.batch())


def test_a_model_without_an_optimizer_is_refused():
    with pytest.raises(ValueError, match="`model` must be compiled with an optimizer"):
        Learner(tiny.DQN(tiny.network()))


def test_a_model_that_syncs_its_own_target_is_refused():
    with pytest.raises(ValueError, match="target_sync_updates=5"):
        tiny.learner(target_sync_updates=5)


@pytest.mark.parametrize("backend", ["numpy", "openvino"])
def test_a_backend_that_cannot_train_is_refused_at_import(backend, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: backend)
    with pytest.raises(
        ImportError, match="must be one of 'tensorflow', 'jax' and"
    ) as e:
        runpy.run_path(keras_dqn.backend.__file__)
    assert f"Received: KERAS_BACKEND='{backend}'" in str(e.value)
