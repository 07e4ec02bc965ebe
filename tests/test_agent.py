"""The agent as its users hold it: build, fit, evaluate, save."""

import functools
import io
import os
import signal

import keras
import numpy as np
import pytest

import keras_dqn
from keras_dqn import presets
from keras_dqn.agent import check_fits
from keras_dqn.config import SettingsError
from keras_dqn.monitor import PlainConsole
from tests import tiny
from tests.toys import EchoEnv

FIT = {
    "vector_steps_per_iteration": 1,
    "updates_per_iteration": 2,
    "batch_size": 32,
    "learning_starts_env_steps": 64,
    "target_sync_env_steps": 100,
    "epsilon_endpoints": ((0, 1.0), (1_000, 0.05)),
    "epsilon_final": 0.05,
    "monitors": None,
}
# A few updates in as many iterations: what is learned changes no game.
RANDOM_PLAY = {
    "vector_steps_per_iteration": 8,
    "updates_per_iteration": 1,
    "epsilon_endpoints": (),
    "epsilon_final": 1.0,
}
Echo = functools.partial(EchoEnv, symbols=4, length=16)


def make_agent(envs, seed=0, capacity=2_048, replay=None, optimizer=None):
    network = keras_dqn.models.dueling_mlp(
        envs.num_actions, envs.observation_shape, (32,), seed=seed
    )
    if replay is None:
        replay = keras_dqn.PrioritizedReplay(capacity, gamma=0.5)
    agent = keras_dqn.DQNAgent(network, replay)
    agent.compile(optimizer or keras.optimizers.Adam(1e-3, clipnorm=10.0))
    return agent


@pytest.mark.parametrize("kind", ["prioritized", "uniform"])
def test_an_agent_learns_to_echo_within_seconds(kind):
    replay = {
        "prioritized": keras_dqn.PrioritizedReplay(2_048, gamma=0.5),
        "uniform": keras_dqn.UniformReplay(2_048, gamma=0.5),
    }[kind]
    with keras_dqn.make_envs(Echo, num_envs=4) as envs:
        agent = make_agent(envs, replay=replay)
        before = agent.evaluate(Echo, episodes=8, epsilon=0.0).mean
        agent.fit(envs, env_steps=2_000, **FIT)
        after = agent.evaluate(Echo, episodes=8, epsilon=0.0).mean
    assert before < 12
    assert after == 16.0  # every symbol of every episode


def test_two_runs_with_one_seed_give_the_same_weights_bit_for_bit():
    def weights(seed):
        with keras_dqn.make_envs(Echo, num_envs=2) as envs:
            agent = make_agent(envs)
            agent.fit(envs, env_steps=200, seed=seed, **FIT)
            return agent.network.get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def games_of_fits(*seeds, settings=None):
    """Lengths of the games of several fits of one agent, played at random."""
    games = []
    with keras_dqn.make_envs("CartPole-v1", num_envs=2) as envs:
        agent = make_agent(envs)
        for seed in seeds:
            lengths = []

            def note(agent, progress, lengths=lengths):
                lengths.extend(episode.length for episode in progress.episodes)

            agent.fit(
                envs,
                env_steps=256,
                settings=settings,
                callbacks=[note],
                **({} if seed is None else {"seed": seed}),
                **{**FIT, **RANDOM_PLAY},
            )
            games.append(tuple(lengths))
    return games


def test_every_fit_has_its_own_chance_and_the_first_that_of_the_settings():
    first, second, third = games_of_fits(None, None, None)
    assert len({first, second, third}) == 3
    assert games_of_fits(None, None) == [first, second]
    assert games_of_fits(keras_dqn.Settings().seed) == [first]
    settings = keras_dqn.presets.breakout(seed=3)
    other, again, given = games_of_fits(None, None, 3, settings=settings)
    assert len({first, second, other, again}) == 4
    assert given == other


def test_a_second_fit_goes_on_with_what_the_replay_holds():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs, capacity=128)
        agent.fit(envs, env_steps=160, monitors=None)
        assert agent.replay.is_full
        progress = agent.fit(envs, env_steps=64, monitors=None)
        assert progress.updates == 64  # eight in each of eight iterations


def test_a_fit_that_would_never_train_is_refused_before_anything_runs():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs, capacity=128)
        with pytest.raises(ValueError, match="This run would never train"):
            agent.fit(envs, env_steps=120, monitors=None)
        assert agent.replay.size == 0
        agent.fit(envs, env_steps=120, learning_starts_env_steps=96, monitors=None)
        agent.fit(envs, env_steps=8, monitors=None)  # it is full now
        assert agent.replay.is_full


def test_a_seed_that_is_given_twice_repeats_the_games():
    first, second, other = games_of_fits(5, 5, 6)
    assert first == second != other


def test_an_evaluation_changes_nothing_in_the_training():
    def weights(evaluates):
        def look(agent, progress):
            if evaluates and progress.iteration % 20 == 0:
                agent.evaluate(Echo, episodes=2, epsilon=0.5)

        with keras_dqn.make_envs(Echo, num_envs=2) as envs:
            agent = make_agent(envs)
            agent.fit(envs, env_steps=200, callbacks=[look], **FIT)
            return agent.network.get_weights(), agent.replay.state_dict()

    (weights1, replay1), (weights2, replay2) = weights(True), weights(False)
    for a, b in zip(weights1, weights2, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in replay1:
        np.testing.assert_array_equal(replay1[name], replay2[name])


def test_the_network_stays_the_callers_and_is_up_to_date_in_callbacks():
    seen = []

    def look(agent, progress):
        seen.append(agent.network.get_weights()[0].copy())

    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        network = agent.network
        agent.fit(envs, env_steps=80, callbacks=[look], **FIT)
    assert agent.network is network
    np.testing.assert_array_equal(seen[-1], network.get_weights()[0])
    assert (seen[-1] != seen[-2]).any()


@pytest.mark.parametrize("replay_device", ["host", "accelerator"])
def test_weights_that_the_caller_sets_between_runs_are_trained_on(replay_device):
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        agent.fit(envs, env_steps=80, **FIT)
        zeros = [np.zeros_like(w) for w in agent.network.get_weights()]
        agent.network.set_weights(zeros)
        short = {**FIT, "learning_starts_env_steps": 2, "batch_size": 2}
        agent.fit(envs, env_steps=2, replay_device=replay_device, **short)
        largest = max(np.abs(w).max() for w in agent.network.get_weights())
    assert largest <= 4.1e-3  # two steps of Adam at 1e-3 away from zero


def test_a_callback_that_returns_true_ends_the_run():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        last = agent.fit(
            envs, env_steps=400, callbacks=[lambda a, p: p.iteration == 5], **FIT
        )
    assert last.iteration == 5


def test_the_first_interrupt_ends_the_run_after_the_iteration_under_way():
    def interrupt(agent, progress):
        if progress.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        last = agent.fit(envs, env_steps=400, callbacks=[interrupt], **FIT)
    assert last.iteration == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_is_raised_at_once():
    def interrupt(agent, progress):
        if progress.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        with pytest.raises(KeyboardInterrupt):
            agent.fit(envs, env_steps=400, callbacks=[interrupt], **FIT)


def test_an_interrupt_amid_an_update_is_not_hidden_by_a_state_that_is_gone(
    monkeypatch,
):
    """JAX's state is, where it was donated to a step that never ended."""
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        agent.build(envs)

        def interrupt(batch):
            monkeypatch.setattr(agent.learner, "sync_variables", lambda: 1 / 0)
            raise KeyboardInterrupt

        monkeypatch.setattr(agent.learner, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            agent.fit(envs, env_steps=80, **FIT)


@pytest.mark.usefixtures("torch_traces")
def test_everything_is_traced_once_in_a_run_with_evaluations():
    def look(agent, progress):
        if progress.iteration % 50 == 49:
            agent.evaluate(Echo, episodes=2, epsilon=0.0)

    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        agent.fit(
            envs,
            env_steps=400,
            callbacks=[look],
            histogram_interval_iterations=10,
            **FIT,
        )
    assert set(tiny.traces(agent.learner).values()) == {1}


def test_a_replay_of_prioritized_transitions_holds_the_td_errors_of_the_run():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs, capacity=128)
        agent.fit(envs, env_steps=200, **FIT)
        agent.replay.check_valid()
    # Had no priority been written back, every leaf would be 1.
    sample = agent.replay.sample(64, np.random.default_rng(0), beta=1.0)
    assert len(np.unique(sample.batch["weights"])) > 10


def test_settings_are_filled_in_from_the_objects():
    replay = keras_dqn.PrioritizedReplay(256, alpha=0.5, gamma=0.9, n_steps=3)
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        changes = {"env_steps": 1_000, "batch_size": 8}
        settings = presets.for_fit(envs, replay, None, changes)
    assert settings.num_envs == 2
    assert settings.replay_capacity == 256
    assert (settings.alpha, settings.gamma, settings.n_steps) == (0.5, 0.9, 3)
    assert settings.env_steps == 1_000
    assert settings.epsilon_endpoints[-1] == (500, 0.01)


@pytest.mark.parametrize("name", ["replay_capacity", "learning_rate", "num_envs"])
def test_fit_refuses_what_belongs_to_another_object(name):
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        with pytest.raises(SettingsError, match=rf"`{name}` is set on .*{name}=5"):
            agent.fit(envs, env_steps=400, **{name: 5})


def test_fit_refuses_an_unknown_setting_and_names_the_nearest():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        with pytest.raises(SettingsError, match="batch_size"):
            make_agent(envs).fit(envs, env_steps=400, batchsize=5)


def test_a_network_that_does_not_fit_is_refused_with_both_shapes():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        wrong = keras_dqn.models.dueling_mlp(3, (4,))
        with pytest.raises(ValueError, match=r"`network` .* 4 actions .*\(None, 3\)"):
            check_fits(wrong, envs)
        wrong = keras_dqn.models.dueling_mlp(4, (5,))
        with pytest.raises(ValueError, match=r"\(4,\).*\(None, 5\)"):
            check_fits(wrong, envs)


def test_fit_before_compile_says_what_to_call():
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        network = keras_dqn.models.dueling_mlp(4, (4,))
        with pytest.raises(RuntimeError, match="`compile`"):
            keras_dqn.DQNAgent(network).fit(envs, env_steps=100_000)


def test_evaluate_before_any_fit_needs_an_environment():
    agent = keras_dqn.DQNAgent(keras_dqn.models.dueling_mlp(4, (4,)))
    with pytest.raises(RuntimeError, match="`env` must be given"):
        agent.evaluate()


def test_the_saved_network_gives_the_same_q_values_with_keras_alone(tmp_path):
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        agent.fit(envs, env_steps=200, **FIT)
    agent.network.save(tmp_path / "network.keras")
    observations = np.eye(4, dtype=np.float32)
    opened = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(opened(observations)),
        agent.learner.q_values(observations),
        rtol=1e-5,
        atol=1e-6,
    )


def test_fit_shows_its_lines_to_the_monitor_that_it_is_given():
    stream = io.StringIO()
    with keras_dqn.make_envs(Echo, num_envs=2) as envs:
        agent = make_agent(envs)
        agent.fit(envs, env_steps=80, **{**FIT, "monitors": PlainConsole(stream)})
    text = stream.getvalue()
    assert keras.config.backend() in text.splitlines()[1]
    assert "EchoEnv" in text
    assert len([line for line in text.splitlines() if "epsilon=" in line]) == 4
