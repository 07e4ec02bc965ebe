"""A run resumed at any awkward moment goes on as the run that never stopped.

One run has a checkpoint due in every iteration, and its directory is copied each
time. From each copy a new run goes on for some iterations, and the digests of
all that it carries on must be those of the run that did not stop.
"""

import shutil

import gymnasium
import pytest

from keras_dqn import presets
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.runs import digests
from keras_dqn.runs.checkpoints import RunCheckpoints
from keras_dqn.runs.parts import train as train_parts
from keras_dqn.runs.run import Run
from tests import runs
from tests import vault

ENV_IDS = {length: f"keras_dqn/Echo{length}-v0" for length in (4, 5)}
for length, env_id in ENV_IDS.items():
    if env_id not in gymnasium.registry:
        gymnasium.register(
            env_id,
            entry_point="tests.toys:EchoEnv",
            kwargs={"length": length, "truncates": length == 5},
        )

# 8 agent steps in an iteration, 4 of each environment.
SETTINGS = {
    "num_envs": 2,
    "vector_steps_per_iteration": 4,
    "env_steps": 128,
    "replay_capacity": 60,  # full in the middle of iteration 7
    "learning_starts_env_steps": 24,  # reached in iteration 2
    "target_sync_env_steps": 40,  # in iterations 5, 10, 15
    "epsilon_endpoints": ((0, 1.0), (100, 0.1)),  # until iteration 12
    "epsilon_final": 0.1,
    "batch_size": 8,
    "updates_per_iteration": 2,
    "hidden_units": 8,
    "checkpoint_interval_iterations": 1,
    "histogram_interval_iterations": 3,
    "log_interval_iterations": 1,
    "evaluation_interval_iterations": 4,
    "evaluation_episodes": 2,
    "stop_at_score": None,
}
# Each with the iterations before which it is stopped and resumed.
RUNS = {
    # Episodes are cut in the middle: n-step returns are half filled.
    "n_steps": {
        "changes": {"env_id": ENV_IDS[5], "n_steps": 3},
        "points": {
            "before anything": 0,
            "before learning starts": 1,
            "when learning starts": 2,
            "after the first updates": 3,
            "after an evaluation": 4,
            "when the target network is synced": 5,
            "after the sync": 6,
            "when the ring wraps": 7,
            "when it has wrapped": 8,
            "at the end of epsilon's decay": 12,
        },
    },
    # Every iteration ends with the end of all episodes.
    "dispatch": {
        "changes": {"env_id": ENV_IDS[4], "updates_per_dispatch": 2},
        "points": {"when learning starts": 2, "after a terminal": 7},
    },
    "uniform": {
        "changes": {
            "env_id": ENV_IDS[5],
            "replay_kind": "uniform",
            "dtype_policy": "mixed_float16",
        },
        "points": {"scaled losses": 6},
    },
}
CASES = [(name, at) for name, run in RUNS.items() for at in run["points"].values()]


def settings_of(name, **changes):
    return presets.cartpole(**{**SETTINGS, **RUNS[name]["changes"], **changes})


def carried_on(run, progress):
    return {
        **digests.of_learner(run.agent.learner),
        **digests.of_replay(run.agent.replay),
        **digests.of_run_state(run.state),
        "metrics": digests.of_progress(progress),
    }


def train(settings, out, resume=False, iterations=None, each=None):
    """Returns the digests after each iteration, by iteration."""
    found = {}

    def note(agent, progress):
        found[progress.iteration] = carried_on(run, progress)
        if each is not None:
            each(progress)
        return len(found) == iterations

    options = {"console": "none", "resume": resume, "evaluation": False}
    with Run(settings, out, callbacks=[note], **options) as run:
        train_parts(run)
    return found


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """By name: the digests of a whole run, and its directory as it was."""
    done = {}

    def run(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)

            def keep(progress):
                # The checkpoint before this iteration was written, the next not.
                at = progress.iteration
                if (name, at) in CASES:
                    shutil.copytree(folder / "run", folder / str(at))

            def begin(saves, env_steps, *args, begin=RunCheckpoints.begin):
                begin(saves, env_steps, *args)
                # Or the copy would be of half a checkpoint.
                vault.finish(saves, lambda: saves.newest == env_steps)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(RunCheckpoints, "begin", begin)
                settings = settings_of(name)
                done[name] = train(settings, folder / "run", each=keep), folder
        return done[name]

    return run


@pytest.mark.parametrize(("name", "at"), CASES)
def test_a_run_resumed_at_an_awkward_moment_goes_on_as_if_it_had_not_stopped(
    straight, name, at
):
    whole, folder = straight(name)
    assert sorted(whole) == list(range(16))
    assert len({parts["online"] for parts in whole.values()}) == 15
    resumed = train(settings_of(name), folder / str(at), resume=True, iterations=4)
    assert sorted(resumed) == list(range(at, at + 4))
    for iteration, parts in resumed.items():
        assert parts == whole[iteration], f"iteration {iteration}"


def test_a_run_interrupted_twice_and_in_the_first_iteration_after_that(
    straight, tmp_path, monkeypatch
):
    whole, folder = straight("n_steps")
    settings, out = settings_of("n_steps"), tmp_path / "run"
    train(settings, out, iterations=3)
    train(settings, out, resume=True, iterations=4)  # up to iteration 7

    class Killed(BaseException):
        pass

    def add(replay, actions, step):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(PrioritizedReplay, "add", add)
        with pytest.raises(Killed):
            runs.train(settings, out, resume=True)
    last = train(settings, out, resume=True)
    assert sorted(last) == list(range(7, 16))
    assert last[15] == whole[15]
    assert digests.of_metrics(out / "metrics.jsonl") == digests.of_metrics(
        folder / "run" / "metrics.jsonl"
    )


def test_schedules_are_continuous_and_updates_are_counted_on(tmp_path):
    settings = settings_of("n_steps")
    records = []
    out = tmp_path / "run"
    for resume in (False, True):
        note = [lambda agent, p: records.append(p) or len(records) == 8]
        run = runs.train(settings, out, resume=resume, callbacks=note)
    assert [p.iteration for p in records] == list(range(16))
    for p in records:
        assert p.epsilon == settings.epsilon_schedule(8 * p.iteration)
        assert p.beta == settings.beta_schedule(8 * p.iteration)
        assert p.updates == 2 * max(0, p.iteration - 1)
    rate = run.agent.learner.learning_rate
    assert rate == pytest.approx(settings.learning_rate)


def test_evaluations_on_the_way_leave_every_iteration_as_it_is(straight, tmp_path):
    whole, _ = straight("n_steps")
    settings = settings_of("n_steps", evaluation_interval_iterations=None)
    assert train(settings, tmp_path / "run") == whole
