"""The loop, with a learner and environments that write down what happens."""

import numpy as np
import pytest

from keras_dqn import presets
from keras_dqn import run_state
from keras_dqn import training
from keras_dqn.config import SettingsError
from keras_dqn.envs import Episode
from keras_dqn.replay.sample import effective_sample_size
from keras_dqn.run_state import EpisodeStatistics
from keras_dqn.run_state import RunState
from tests.tape import TapeLearner
from tests.tape import make_run
from tests.tape import settings_of
from tests.toys import CountingEnv
from tests.toys import EchoEnv

pytestmark = pytest.mark.numpy


def reference_cadence(**changes):
    """The reference implementation's numbers, with a network that costs nothing."""
    return presets.breakout(env_id="toy", **changes)


def test_the_reference_first_trains_in_iteration_511_eight_times_per_iteration():
    run = make_run(reference_cadence(env_steps=32 * 514), CountingEnv)
    first = None
    for progress in run.records:
        if first is None and progress.is_training:
            first = progress
    assert first.iteration == 511
    assert first.env_steps == 16_352
    assert first.replay_size == 16_384
    assert first.updates == 8
    assert run.tape.count("update") == 3 * 8


def test_the_reference_syncs_its_target_in_iterations_624_and_936_first():
    run = make_run(reference_cadence(env_steps=32 * 940), CountingEnv)
    synced, seen = [], 0
    for progress in run.records:
        if run.tape.count("sync") > seen:
            seen += 1
            synced.append(progress.iteration)
        run.tape[:] = ["sync"] * seen
    assert synced == [624, 936]


def test_the_target_is_synced_after_the_gradient_steps_of_its_iteration():
    run = make_run(settings_of())
    for progress in run.records:
        if progress.iteration == 6:
            break
    assert run.tape[-3:] == ["update", "update", "sync"]


def test_actions_are_sent_before_the_gradient_steps_and_received_after_them():
    run = make_run(settings_of())
    for progress in run.records:  # 3 and 6 sync the target
        if progress.iteration == 5:
            break
    iteration = ["recv", "act", "send"] * 2 + ["update"] * 2
    assert run.tape[-2 * len(iteration) :] == iteration * 2


def test_transitions_are_stored_step_by_step_and_within_a_step_by_environment():
    class TwoClocks(CountingEnv):
        made = 0

        def __init__(self):
            super().__init__(length=1_000)
            self._number = TwoClocks.made
            TwoClocks.made += 1

        def reset(self, *, seed=None, options=None):
            observation, info = super().reset(seed=seed)
            observation[0] = self._number
            return observation, info

        def step(self, action):
            observation, *rest = super().step(action)
            observation[0] = self._number
            return observation, *rest

    run = make_run(settings_of(), TwoClocks)
    for _ in run.records:
        pass
    state = run.replay.state_dict()
    # Rewards tell the time: 1 at an environment's first step, 2 at its second.
    rewards = next(v for k, v in state.items() if "reward" in k)
    np.testing.assert_array_equal(rewards[:8], [17, 17, 18, 18, 19, 19, 20, 20])
    TwoClocks.made = 0


def test_every_minibatch_finds_the_priorities_that_the_last_one_wrote():
    class Surprised(TapeLearner):
        def update(self, batch):
            found = super().update(batch)
            found.priorities[:] = 1e6 if len(self.batches) == 1 else 1e-3
            return found

    settings = settings_of(
        replay_capacity=1_024,
        env_steps=1_024,
        updates_per_iteration=2,
        batch_size=32,
        beta_endpoints=((0, 1.0), (1_024, 1.0)),
    )
    run = make_run(settings, lambda: CountingEnv(length=10_000), Surprised)
    for _ in run.records:
        pass
    first, second = run.learner.batches
    # A surprise of a million draws nearly all of the second minibatch.
    is_old = np.isin(second["rewards"], first["rewards"])
    assert is_old.mean() > 0.9


def test_updates_per_dispatch_groups_the_same_number_of_gradient_steps():
    run = make_run(settings_of(updates_per_iteration=4, updates_per_dispatch=2))
    trained = list(run.records)[-1].updates // 4
    assert run.tape.count("update x 2") == 2 * trained
    assert "update" not in run.tape
    assert run.state.updates == 4 * trained == 4 * 7


def test_records_are_numbered_by_the_steps_before_the_iteration():
    records = list(make_run(settings_of()).records)
    assert [r.env_steps for r in records] == list(range(0, 40, 4))
    assert [r.env_steps_done for r in records] == list(range(4, 44, 4))
    assert [r.iteration for r in records] == list(range(10))
    assert {r.total_env_steps for r in records} == {40}
    seed = next(make_run(reference_cadence(env_steps=32 * 600)).records)
    assert seed.env_steps_done == 32


def test_schedules_are_asked_for_the_steps_before_the_iteration():
    records = list(make_run(settings_of()).records)
    expected = [1.0 - 0.5 * t / 40 for t in range(0, 40, 4)]
    np.testing.assert_allclose([r.epsilon for r in records], expected)
    expected = [0.4 + 0.6 * t / 40 for t in range(0, 40, 4)]
    np.testing.assert_allclose([r.beta for r in records], expected)


def test_figures_are_none_before_training_and_means_over_all_samples_after():
    records = list(make_run(settings_of()).records)
    for record in records[:3]:
        assert not record.is_training
        assert (record.q_mean, record.q_std, record.td_error, record.loss) == (
            None,
        ) * 4
    for record in records[3:]:
        assert record.is_training
        # Two minibatches of four: Q is 0, 1, 2, 3 in each; TD errors are -2.
        assert record.q_mean == pytest.approx(1.5)
        assert record.q_std == pytest.approx(np.std([0, 1, 2, 3]))
        assert record.td_error == pytest.approx(2.0)
        assert record.loss == pytest.approx(0.5)


def test_histograms_are_of_the_last_minibatch_and_only_once_training():
    settings = settings_of(histogram_interval_iterations=2)
    run = make_run(settings)
    records = list(run.records)
    drawn = [r.iteration for r in records if r.histogram_q is not None]
    assert drawn == [4, 6, 8]
    # Q is 0, 1, 2, 3, and each TD error -2: the targets are larger by 2.
    np.testing.assert_array_equal(records[4].histogram_q, [0, 1, 2, 3])
    np.testing.assert_array_equal(records[4].histogram_targets, [2, 3, 4, 5])


def test_looking_at_histograms_does_not_change_what_is_learned():
    def batches(interval):
        settings = settings_of(histogram_interval_iterations=interval)
        run = make_run(settings, EchoEnv)
        for _ in run.records:
            pass
        return run.learner.batches

    for often, never in zip(batches(1), batches(1_000), strict=True):
        for key in often:
            np.testing.assert_array_equal(often[key], never[key])


def test_one_seed_decides_every_draw():
    def rewards(seed):
        run = make_run(settings_of(seed=seed), EchoEnv)
        return [
            (e.score, e.length) for record in run.records for e in record.episodes
        ], run.learner.batches

    first, again, other = rewards(3), rewards(3), rewards(4)
    assert first[0] == again[0]
    for a, b in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(a["observations"], b["observations"])
    assert any(
        (a["observations"] != b["observations"]).any()
        for a, b in zip(first[1], other[1], strict=True)
    )


def test_speed_counts_sampling_and_training_and_not_what_consumers_do(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])

    class Slow(TapeLearner):
        def q_values(self, observations):
            now[0] += 1.0
            return super().q_values(observations)

    run = make_run(settings_of(), learner=Slow)
    records = []
    for record in run.records:
        records.append(record)
        now[0] += 1_000.0
    assert records[1].seconds == 2.0
    assert records[1].env_steps_per_second == 2.0  # 4 agent steps in 2 s


def test_the_record_has_the_figures_of_learner_and_replay(monkeypatch):
    run = make_run(settings_of(learning_starts_env_steps=8))
    samples = []
    sample = type(run.replay).sample

    def spying(*args, **options):
        samples.append(sample(*args, **options))
        return samples[-1]

    monkeypatch.setattr(type(run.replay), "sample", spying)
    first, second, *_ = run.records
    assert (first.learning_rate, first.max_priority) == (0.125, 1.0)
    assert first.effective_sample_size is first.sample_age_mean is None
    assert (first.gradient_norm, second.gradient_norm) == (None, 3.0)
    assert (first.replay_fill, second.replay_fill) == (0.25, 0.5)
    assert second.max_priority == pytest.approx(2.0)  # of the constant TD errors
    weights = [each.batch["weights"] for each in samples[:2]]
    sizes = [float(w.sum() ** 2 / (w**2).sum()) for w in weights]
    assert second.effective_sample_size == pytest.approx(np.mean(sizes), rel=1e-5)
    ages = [7 - each.ids for each in samples[:2]]  # 8 transitions are stored
    assert second.sample_age_mean == pytest.approx(np.mean(ages))


@pytest.mark.parametrize(
    ("weights", "size"),
    [
        ([1.0, 1.0, 1.0, 1.0], 4.0),
        ([1e-30, 0.0, 0.0, 0.0], 1.0),  # its square is no float32
        ([0.0, 0.0], 0.0),
        ([[1.0, 1.0], [1.0, 0.0]], 1.5),  # two minibatches
    ],
)
def test_the_effective_sample_size_is_that_of_equal_weights(weights, size):
    weights = np.array(weights, np.float32)
    assert effective_sample_size(weights) == pytest.approx(size)


def test_means_are_over_the_last_hundred_episodes():
    statistics = EpisodeStatistics()
    assert statistics.mean(statistics.scores) is None
    for number in range(150):
        statistics.add(Episode(0, float(number), 2 * number, 0, False, None))
    assert statistics.count == 150
    scores, lengths = statistics.scores, statistics.lengths
    assert statistics.mean(scores) == pytest.approx(np.mean(range(50, 150)))
    assert statistics.mean(lengths) == pytest.approx(np.mean(range(100, 300, 2)))


@pytest.mark.parametrize("scores", [[], [-7.0, -5.0], [0.0], [3.0]])
def test_the_best_score_goes_through_a_checkpoint_whatever_its_sign(scores):
    statistics, loaded = EpisodeStatistics(), EpisodeStatistics()
    for score in scores:
        statistics.add(Episode(0, score, 5, 0, False, None))
    loaded.load_state_dict(statistics.state_dict())
    assert loaded.best_score == statistics.best_score == max(scores, default=None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"count": None}, "count"), ({"lengths": np.zeros(3)}, "1 and 3")],
)
def test_episode_statistics_that_are_incomplete_are_refused(changes, words):
    statistics = EpisodeStatistics()
    statistics.add(Episode(0, 1.0, 5, 0, False, None))
    state = {**statistics.state_dict(), **changes}
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(ValueError, match=words):
        EpisodeStatistics().load_state_dict(state)


def test_only_a_strictly_better_episode_replaces_the_best_and_its_frame():
    statistics = EpisodeStatistics()
    frames = [np.full((2, 2), value, np.uint8) for value in range(5)]
    for score, frame in zip([-5.0, -2.0, -2.0, -3.0, 4.0], frames, strict=True):
        statistics.add(Episode(0, score, 1, 0, False, frame))
        best = {-5.0: 0, -2.0: 1, -3.0: 1, 4.0: 4}[score]
        assert statistics.best_score == max(-5.0, -2.0 if best else -5.0, score)
        np.testing.assert_array_equal(statistics.best_frame, frames[best])
    assert statistics.best_score == 4.0
    np.testing.assert_array_equal(statistics.best_frame, frames[4])
    statistics.add(Episode(0, 4.0, 1, 0, False, frames[0]))
    np.testing.assert_array_equal(statistics.best_frame, frames[4])


@pytest.mark.parametrize(
    ("changes", "stored", "iteration", "words"),
    [
        ({"env_steps": 31}, 0, 0, "`replay_capacity` must be <= 28,"),
        ({"env_steps": 31}, 0, 0, "Or set `learning_starts_env_steps`"),
        ({"env_steps": 31}, 0, 0, "Received: replay_capacity=32, env_steps=31"),
        (
            {"env_steps": 23, "learning_starts_env_steps": 24},
            *(0, 0, "`learning_starts_env_steps` must be <= 20,"),
        ),
        ({"env_steps": 48}, 10, 7, "`replay_capacity` must be <= 30,"),
    ],
)
def test_a_run_that_would_end_before_it_trains_is_refused(
    changes, stored, iteration, words
):
    settings = presets.breakout(**{**NEVER, **changes})
    with pytest.raises(SettingsError, match=f"^This run would never train: .*{words}"):
        training.check_learning_starts(settings, stored, iteration)


@pytest.mark.parametrize(
    ("changes", "stored", "iteration"),
    [
        ({"env_steps": 32}, 0, 0),
        ({"env_steps": 24, "learning_starts_env_steps": 24}, 0, 0),
        ({"env_steps": 4}, 28, 0),
        ({"env_steps": 4}, 32, 0),
        ({"env_steps": 48}, 12, 7),
        ({"env_steps": 4}, 0, 1),  # the run is over: there is nothing to train
    ],
)
def test_a_run_whose_replay_will_hold_enough_is_taken(changes, stored, iteration):
    settings = presets.breakout(**{**NEVER, **changes})
    training.check_learning_starts(settings, stored, iteration)


NEVER = {
    "num_envs": 2,
    "vector_steps_per_iteration": 2,
    "replay_capacity": 32,
    "batch_size": 4,
}


def test_games_start_anew_where_a_checkpoint_is_due_and_nowhere_else():
    run = make_run(settings_of(checkpoint_interval_iterations=3))
    resets = []
    for progress in run.records:
        if "reset" in run.tape:
            resets.append(progress.iteration)
        run.tape.clear()
    assert resets == [0, 3, 6, 9]


def test_the_state_of_a_run_goes_through_json_and_back():
    import json

    state = RunState.from_seed(5)
    state.exploration_rng.random(3)
    state.iteration, state.updates = 7, 11
    state.statistics.add(Episode(0, 2.0, 9, 0, False, np.eye(3, dtype=np.uint8)))
    other = RunState.from_seed(6)
    other.load_meta(json.loads(json.dumps(state.to_meta())))
    other.statistics.load_state_dict(state.statistics.state_dict())
    assert (other.iteration, other.updates) == (7, 11)
    assert other.envs_seed() == state.envs_seed()
    for name in ("exploration_rng", "replay_rng"):
        assert getattr(other, name).random() == getattr(state, name).random()
    assert other.statistics.best_score == 2.0
    np.testing.assert_array_equal(other.statistics.best_frame, np.eye(3))
    assert list(other.statistics.lengths) == [9]


def test_games_of_different_iterations_and_runs_have_different_seeds():
    seeds = set()
    for seed in range(20):
        state = RunState.from_seed(seed)
        for state.iteration in range(20):
            seeds.add(state.envs_seed())
    assert len(seeds) == 400


def test_a_later_fit_has_a_seed_that_no_games_have():
    state = RunState.from_seed(7)
    games = set()
    for state.iteration in range(50):
        games.add(state.envs_seed())
    assert not games & {run_state.fit_seed(7, number) for number in range(50)}
