"""A gradient step tells its norm; one that is not finite is not taken, and says so."""

import keras
import numpy as np
import pytest

from tests import tiny


def poisoned(key, value, seed=0):
    batch = tiny.batch(seed)
    batch[key] = batch[key].copy()
    batch[key][3] = value
    return batch


POISONS = [
    ("rewards", np.nan, "loss with nan"),
    ("rewards", np.inf, "loss with inf"),
    ("weights", np.inf, "loss with inf"),
    ("discounts", np.nan, "loss with nan"),
    # The loss is finite here, the square of the gradient is not.
    ("weights", 1e30, "gradients.*overflow"),
]


@pytest.fixture(params=["as it is", "as on an accelerator"])
def hardware(request, monkeypatch):
    """JAX alone does otherwise on a CPU than elsewhere."""
    if request.param == "as on an accelerator" and keras.config.backend() == "jax":
        import jax

        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize(("key", "value", "said"), POISONS)
def test_a_step_that_is_not_finite_moves_nothing(key, value, said):
    learner = tiny.learner()
    learner.update(tiny.batch(1))  # so that the optimizer has a momentum
    before = learner.state_dict()
    with pytest.raises(FloatingPointError, match=said):
        learner.update(poisoned(key, value))
    after = learner.state_dict()
    for name in before:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    # And it goes on as if nothing had been.
    clean = tiny.learner()
    for seed in (1, 2):
        expected = clean.update(tiny.batch(seed))
    found = learner.update(tiny.batch(2))
    np.testing.assert_allclose(found.td_errors, expected.td_errors, atol=1e-6)


@pytest.mark.usefixtures("hardware")
def test_of_several_steps_the_finite_ones_are_taken():
    learner, clean = tiny.learner(), tiny.learner()
    clean.update(tiny.batch(1))
    clean.update(tiny.batch(2))
    batches = [tiny.batch(1), poisoned("rewards", np.nan), tiny.batch(2)]
    with pytest.raises(FloatingPointError, match="loss with nan"):
        learner.update_many(tiny.stacked(batches))
    tiny.assert_same(tiny.online(learner), tiny.online(clean), atol=1e-6)


def test_fit_does_not_take_such_a_step_either():
    model = tiny.model()
    before = tiny.weights(model.network)
    history = model.fit(poisoned("rewards", np.nan), batch_size=8, verbose=0)
    assert np.isnan(history.history["loss"]).all()
    tiny.assert_same(tiny.weights(model.network), before, atol=0.0)
    model.fit(tiny.batch(1), batch_size=8, verbose=0)
    moved = tiny.weights(model.network)
    assert any(np.any(moved[name] != before[name]) for name in before)


def test_loss_scaling_may_overflow_and_go_on_with_a_smaller_scale():
    optimizer = keras.optimizers.LossScaleOptimizer(
        tiny.adam(), initial_scale=3e38, dynamic_growth_steps=1000
    )
    learner = tiny.learner(optimizer, huber_delta=1e3)
    before = tiny.online(learner)
    learner.update(poisoned("rewards", 1e3))
    learner.sync_variables()
    scale = float(keras.ops.convert_to_numpy(optimizer.dynamic_scale))
    assert scale < 2e38
    tiny.assert_same(tiny.online(learner), before, atol=0.0)


def sgd(**options):
    return keras.optimizers.SGD(1.0, **options)


OPTIMIZERS = {
    "plain": sgd,
    "each variable clipped": lambda: sgd(clipnorm=1e-3),
    "all clipped": lambda: sgd(global_clipnorm=1e-3),
    "loss scaled": lambda: sgd(loss_scale_factor=512.0),
    "as in mixed_float16": lambda: keras.optimizers.LossScaleOptimizer(
        sgd(), initial_scale=256.0, dynamic_growth_steps=1
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_gradient_norm_is_that_before_clipping_and_without_scaling(name):
    plain = tiny.learner(sgd())
    before = tiny.online(plain)
    plain.update(tiny.batch(1))
    # With a learning rate of 1, the weights move by the gradients.
    moves = [before[path] - after for path, after in tiny.online(plain).items()]
    expected = np.sqrt(sum(np.square(move.astype("float64")).sum() for move in moves))
    assert expected > 0.1
    found = tiny.learner(OPTIMIZERS[name]()).update(tiny.batch(1))
    assert found.gradient_norm == pytest.approx(expected, rel=1e-4)


def test_each_of_several_steps_tells_its_norm():
    one, many = tiny.learner(), tiny.learner()
    expected = [one.update(batch).gradient_norm for batch in tiny.batches(3)]
    found = many.update_many(tiny.stacked(tiny.batches(3))).gradient_norm
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len(set(map(float, expected))) == 3
