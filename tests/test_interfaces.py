"""Parts of the user's own: what each is called with, and that nothing else is needed.

Their examples are in `docs/extend.md`; `test_docs_keras.py` runs them, too.
"""

import keras
import numpy as np
import pytest

import keras_dqn
import keras_dqn.monitor
from keras_dqn import interfaces
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.models import dueling_mlp
from keras_dqn.replay.own import OwnReplay
from tests.documents import PAGES
from tests.documents import python_blocks
from tests.toys import EchoEnv

FIT = {
    "env_steps": 128,
    "learning_starts_env_steps": 32,
    "batch_size": 8,
    "monitors": None,
    "seed": 3,
}


@pytest.fixture(scope="module")
def page():
    """The names that the page defines before it trains."""
    seen = {"__name__": "page"}
    *blocks, _ = python_blocks(PAGES["docs/extend.md"])
    for code in blocks:
        exec(compile(code, "docs/extend.md", "exec"), seen)
    return seen


def make_agent(replay=None, **options):
    agent = keras_dqn.DQNAgent(
        dueling_mlp(4, (4,), (16,), seed=1), replay or keras_dqn.UniformReplay(256)
    )
    agent.compile(keras.optimizers.Adam(1e-2), **options)
    return agent


def weights_of(agent):
    return np.concatenate([each.ravel() for each in agent.network.get_weights()])


def trained(fit=(), **options):
    agent = make_agent(**options)
    agent.fit(EchoEnv, **{**FIT, **dict(fit)})
    return weights_of(agent)


def test_the_page_is_solved_with_all_of_them(page):
    *_, last = python_blocks(PAGES["docs/extend.md"])
    seen = dict(page)
    exec(compile(last.replace("320", "4_000"), "docs/extend.md", "exec"), seen)
    assert np.mean(seen["scores"].scores[:40]) < 4
    assert seen["agent"].evaluate(episodes=8, epsilon=0.0).scores.mean() >= 7.5


def test_a_replay_of_ones_own_gives_the_run_that_the_librarys_gives(page):
    """The same transitions in another container, drawn by the same numbers."""

    class Same(page["LastSteps"]):
        def sample(self, batch_size, rng, *, beta):
            assert isinstance(beta, float)
            return super().sample(batch_size, rng, beta=beta)

        def update_priorities(self, ids, priorities):
            assert ids.shape == priorities.shape == (8,)
            updated.append(priorities)

    updated = []
    options = {"updates_per_iteration": 4, "updates_per_dispatch": 2}
    for fit in ({}, options):
        own = trained(fit, replay=Same(256))
        np.testing.assert_array_equal(own, trained(fit))
    assert updated and min(map(np.min, updated)) >= 0


def test_a_replay_of_ones_own_is_not_saved_and_stays_on_the_host(page, tmp_path):
    agent = make_agent(replay=page["LastSteps"](256))
    agent.fit(EchoEnv, **FIT)
    assert isinstance(agent.replay, OwnReplay) and agent.replay.size == 128
    with pytest.raises(ValueError, match="replay=False"):
        agent.save(tmp_path)
    agent.save(tmp_path, replay=False)
    with pytest.raises(ValueError, match="`replay` must be given to `load`"):
        keras_dqn.DQNAgent.load(tmp_path)
    loaded = keras_dqn.DQNAgent.load(tmp_path, replay=page["LastSteps"](256))
    np.testing.assert_array_equal(weights_of(loaded), weights_of(agent))
    with pytest.raises(ValueError, match="`replay_device` must be 'host'"):
        agent.fit(EchoEnv, **{**FIT, "replay_device": "accelerator"})


def test_an_object_without_a_method_is_no_replay(page):
    class Half(page["LastSteps"]):
        start = None

    for wrong in (Half(8), page["LastSteps"]):
        with pytest.raises(TypeError, match="interfaces.Replay"):
            keras_dqn.DQNAgent(dueling_mlp(4, (4,)), wrong)


def test_schedules_are_asked_at_the_steps_and_used():
    asked, used = [], []

    def schedule(env_steps):
        asked.append(env_steps)
        return env_steps / 1_000

    class Watch:
        start = message = lambda self, value: None
        close = lambda self: used.append("closed")  # noqa: E731

        def write(self, progress):
            used.append((progress.epsilon, progress.beta))

    agent = make_agent()
    agent.fit(
        EchoEnv, **{**FIT, "monitors": Watch()}, epsilon=schedule, beta=lambda _: 0.25
    )
    assert asked == [0, 32, 64, 96]
    assert used == [(steps / 1_000, 0.25) for steps in asked] + ["closed"]


def test_constant_schedules_equal_those_of_the_settings():
    own = trained({"epsilon": lambda _: 0.3})
    constant = {"epsilon_endpoints": (), "epsilon_final": 0.3}
    np.testing.assert_array_equal(own, trained(constant))


@pytest.mark.parametrize("value", (1.5, -0.1, np.nan, "1", None))
def test_a_schedule_must_give_a_probability(value):
    with pytest.raises(ValueError, match="`epsilon` must be"):
        make_agent().fit(EchoEnv, **FIT, epsilon=lambda _: value)


def test_an_exploration_chooses_the_actions():
    seen = []

    def always_two(q_values, epsilon, rng):
        assert q_values.shape == (8, 4) and q_values.dtype == np.float32
        assert isinstance(rng, np.random.Generator) and 0 <= epsilon <= 1
        seen.append(rng.random())
        return np.full(len(q_values), 2)

    agent = make_agent()
    agent.fit(EchoEnv, **FIT, exploration=always_two)
    batch = agent.replay.sample(64, np.random.default_rng(0)).batch
    assert set(batch["actions"]) == {2} and len(set(seen)) == len(seen) == 17


def test_an_exploration_outside_the_actions_is_refused():
    with pytest.raises(ValueError, match="less than 4"):
        make_agent().fit(EchoEnv, **FIT, exploration=lambda q, e, r: np.full(len(q), 4))


def test_a_monitor_of_ones_own_is_closed_after_an_error():
    calls = []

    class Failing:
        def start(self, info):
            calls.append(info.env_id)

        def write(self, progress):
            raise OSError("full")

        def message(self, text):
            pass

        def close(self):
            calls.append("closed")

    with pytest.raises(OSError, match="full"):
        make_agent().fit(EchoEnv, **{**FIT, "monitors": Failing()})
    assert calls == ["EchoEnv", "closed"]
    with pytest.raises(TypeError, match="Write monitors=Failing"):
        make_agent().fit(EchoEnv, **{**FIT, "monitors": Failing})


def test_a_distribution_and_a_backup_are_those_of_the_learner(page, tmp_path):
    parts = {"distribution": page["LogCosh"](), "backup": page["ExpectedSarsa"]()}
    agent = make_agent(**parts)
    agent.fit(EchoEnv, **FIT)
    assert np.any(weights_of(agent) != trained())
    agent.save(tmp_path)
    with pytest.raises(ValueError, match="`backup` must be given to `load`"):
        keras_dqn.DQNAgent.load(tmp_path)
    loaded = keras_dqn.DQNAgent.load(tmp_path, **parts)
    for each in (agent, loaded):
        each.fit(EchoEnv, **FIT)
    np.testing.assert_array_equal(weights_of(loaded), weights_of(agent))


def test_the_parts_of_the_library_by_name_and_as_objects():
    default = trained()
    np.testing.assert_array_equal(trained(backup="double"), default)
    np.testing.assert_array_equal(trained(distribution=Scalar()), default)
    greedy = trained(backup="greedy")
    np.testing.assert_array_equal(greedy, trained(double_q=False))
    assert np.any(greedy != default)


@pytest.mark.parametrize(
    "options, match",
    (
        ({"backup": "best"}, "`backup` must be one of"),
        ({"backup": "greedy", "double_q": False}, "`double_q` must be left out"),
        ({"distribution": Scalar}, r"Write distribution=Scalar\(\)"),
        ({"distribution": object()}, "mean, at, targets, losses"),
        ({"distribution": Scalar(), "huber_delta": 2.0}, "`huber_delta` must be left"),
    ),
)
def test_parts_that_contradict_each_other_are_refused(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make_agent(**options)


@pytest.mark.parametrize(
    "options, match",
    (
        ({"epsilon": 0.1}, "Write epsilon=lambda env_steps: 0.1"),
        ({"beta": "1"}, "Write beta=lambda"),
        ({"exploration": None}, "Write exploration=keras_dqn.exploration"),
        (
            {"epsilon": abs, "epsilon_final": 0.1},
            "`epsilon` must be left out if `epsilon_final` is given",
        ),
    ),
)
def test_wrong_choices_of_a_fit_are_refused(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make_agent().fit(EchoEnv, **FIT, **options)


def test_what_the_library_has_fits_the_protocols(page):
    assert isinstance(keras_dqn.PrioritizedReplay(8), interfaces.Replay)
    assert isinstance(keras_dqn.monitor.Monitor(), interfaces.Monitor)
    assert isinstance(EchoEnv(), interfaces.Environment)
    assert isinstance(page["Echo"](), interfaces.Environment)
    methods = ("reset", "step", "close", "action_space", "observation_space")
    for name in methods:
        wrong = type("Wrong", (page["Echo"],), {})()
        copy = {each: getattr(wrong, each) for each in methods if each != name}
        with pytest.raises(TypeError, match="methods `reset`, `step` and `close`"):
            keras_dqn.make_envs(lambda copy=copy: type("Part", (), dict(copy))())


def test_each_protocol_has_at_most_five_methods():
    protocols = {
        name: value
        for name, value in vars(interfaces).items()
        if getattr(value, "_is_protocol", False) and name != "Protocol"
    }
    assert len(protocols) == 7
    for name, protocol in protocols.items():
        functions = [m for m in vars(protocol).values() if callable(m)]
        own = [
            f for f in functions if getattr(f, "__module__", "") == interfaces.__name__
        ]
        own = [f for f in own if f.__name__ != "_no_init_or_replace_init"]
        assert 1 <= len(own) <= 5, name
