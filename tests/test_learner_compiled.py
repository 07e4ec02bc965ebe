"""`jit_compile`: the framework's compiler changes the speed and nothing else."""

import keras
import numpy as np
import pytest

from keras_dqn.backend import DeviceFrames
from keras_dqn.backend import Learner
from tests import tiny

# Without a C++ compiler these tests are of what torch does instead.
COMPILED = True if tiny.HAS_COMPILER else "auto"
pytestmark = pytest.mark.usefixtures("torch_compile")


def trained(jit_compile):
    """A learner after a few steps of every kind, and what it found."""
    learner = Learner(tiny.model(), jit_compile=jit_compile)
    found = [learner.update(batch).td_errors for batch in tiny.batches(3)]
    learner.sync_target()
    learner.learning_rate = 1e-3
    learner.load_state_dict(learner.state_dict())
    many = tiny.stacked(tiny.batches(2))
    found += [learner.update_many(many).td_errors for _ in range(2)]
    poison = {**tiny.batch(), "rewards": np.full(8, np.nan, "float32")}
    with pytest.raises(FloatingPointError):
        learner.update(poison)
    found.append(learner.update(tiny.batch(5)).td_errors)
    found.append(learner.q_values(tiny.batch()["observations"]))
    return learner, found


def test_the_compiled_step_is_the_same_step():
    compiled, found = trained(COMPILED)
    plain, expected = trained(False)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    tiny.assert_same(tiny.online(compiled), tiny.online(plain), atol=1e-5)
    counts = compiled.trace_counts
    assert counts["update"] == counts["q_values"] == int(tiny.HAS_COMPILER)


@pytest.fixture(params=["known", "unknown", "chosen by the user"])
def options(request, monkeypatch):
    """Of JAX's compiler, to which alone any are given: it gets them if it may."""
    if keras.config.backend() != "jax":
        yield
        return
    import jax

    from keras_dqn.backend.jax.device import cpu_compiler_options

    flag = "xla_cpu_experimental_ynn_fusion_type"
    if request.param == "chosen by the user":
        monkeypatch.setenv("XLA_FLAGS", f"--{flag}=LIBRARY_FUSION_TYPE_DOT")
    jit, given = jax.jit, []

    def noting_jit(function, compiler_options=None, **arguments):
        if compiler_options and request.param == "unknown":
            raise jax.errors.JaxRuntimeError(f"No such compile option: '{flag}'")
        given.append(compiler_options or {})
        return jit(function, compiler_options=compiler_options, **arguments)

    monkeypatch.setattr(jax, "jit", noting_jit)
    cpu_compiler_options.cache_clear()
    yield
    cpu_compiler_options.cache_clear()
    assert len(given) >= 3  # a learner's functions
    of_learner = {flag in each for each in given[-3:]}
    assert of_learner == {request.param == "known"}


@pytest.mark.usefixtures("options")
def test_with_and_without_its_options_a_compiler_does_the_same_step():
    compiled = Learner(tiny.model(), jit_compile=COMPILED)
    plain = Learner(tiny.model(), jit_compile=False)
    for batch in tiny.batches(2):
        found, expected = compiled.update(batch), plain.update(batch)
        np.testing.assert_allclose(found.td_errors, expected.td_errors, atol=1e-5)
    assert compiled.trace_counts["update"] == int(tiny.HAS_COMPILER)


def test_two_compiled_learners_are_not_confused():
    first = Learner(tiny.model(tiny.adam(clipnorm=0.5)), jit_compile=COMPILED)
    second = Learner(tiny.model(tiny.adam(clipnorm=0.1), seed=1), jit_compile=COMPILED)
    plain = Learner(tiny.model(tiny.adam(clipnorm=0.1), seed=1), jit_compile=False)
    for batch in tiny.batches(2):
        first.update(batch)
        found = second.update(batch)
        expected = plain.update(batch)
    np.testing.assert_allclose(found.td_errors, expected.td_errors, atol=1e-5)
    tiny.assert_same(tiny.online(second), tiny.online(plain), atol=1e-5)


class Uncompilable(keras.optimizers.SGD):
    """Decides by a number in the middle of its step, which only eager torch has."""

    def update_step(self, gradient, variable, learning_rate):
        if tiny.IS_TORCH and keras.ops.sum(gradient) > 1e9:
            raise ValueError("too large")
        super().update_step(gradient, variable, learning_rate)


def test_what_cannot_be_compiled_runs_all_the_same_with_a_warning(recwarn):
    learner = Learner(tiny.model(Uncompilable(1e-2)))
    plain = Learner(tiny.model(keras.optimizers.SGD(1e-2)), jit_compile=False)
    batch = tiny.batch()
    for one in (learner, plain):
        one.update(batch)
        one.update(batch)
    failed = [w for w in recwarn if "torch.compile failed" in str(w.message)]
    assert len(failed) == tiny.IS_TORCH
    tiny.assert_same(tiny.online(learner), tiny.online(plain), atol=1e-5)


@pytest.mark.parametrize("value", ["yes", None, 2, "True"])
def test_another_value_is_refused(value):
    with pytest.raises(ValueError, match="`jit_compile` must be 'auto', True or False"):
        Learner(tiny.model(), jit_compile=value)


@pytest.mark.slow
def test_frames_on_the_device_are_looked_up_inside_the_compiled_step():
    rng = np.random.default_rng(0)
    learners = [Learner(tiny.model(), jit_compile=jit) for jit in (True, False)]
    for learner in learners:
        frames = DeviceFrames(20, (tiny.FEATURES,), "float32")
        frames.grow_finals(8)
        learner.attach_frames(frames)
    for batch in tiny.batches(3):
        rows = rng.permutation(19)[:5].astype("int32")
        written = rng.normal(size=(5, tiny.FEATURES)).astype("float32")
        for name in ("observations", "next_observations"):
            batch[name] = rng.integers(0, 28, 8).astype("int32")
        found = []
        for learner in learners:
            learner.frames.write(rows, written)
            learner.frames.write_final(3, written[0])
            found.append(learner.update(batch).td_errors)
        np.testing.assert_allclose(*found, atol=1e-5)
    assert learners[0].trace_counts["update"] == 1


def test_beyond_so_many_shapes_it_runs_eagerly_with_a_warning(monkeypatch, recwarn):
    learner = Learner(tiny.model())
    if tiny.IS_TORCH:
        from keras_dqn.backend.torch import network as backend

        monkeypatch.setattr(backend, "MOST_SHAPES", 1)
    observations = tiny.batch()["observations"]
    expected = Learner(tiny.model(), jit_compile=False).q_values(observations)
    for size in (1, 2, 3):
        found = learner.q_values(observations[:size])
        np.testing.assert_allclose(found, expected[:size], atol=1e-5)
    failed = [w for w in recwarn if "runs eagerly from now on" in str(w.message)]
    assert len(failed) == tiny.IS_TORCH
