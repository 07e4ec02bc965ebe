"""Goes on with a checkpoint of each backend on each backend, and compares.

    python benchmarks/cross_backends.py tensorflow=PYTHON jax=PYTHON torch=PYTHON

`PYTHON` is the interpreter of an environment with that backend; one may serve for
several. Each writes a checkpoint of a short run of Breakout, and each loads those
of all: counters, generators, replay and weights must be equal to the bit, and the
first update on the same minibatch must agree to 1e-5.

`python benchmarks/cross_backends.py write FOLDER --game CartPole-v1` is how the
folders `tests/data/from-*` were made, one by each backend.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import machine
import numpy as np

TOLERANCE = 1e-5  # of the first update's loss, relatively
UPDATES = 200  # after which everything must still be finite
EXPECTED = "expected.json"
_COMMON = {
    "num_envs": 2,
    "vector_steps_per_iteration": 4,
    "env_steps": 400,
    "replay_capacity": 64,
    "n_steps": 2,
    "learning_starts_env_steps": 16,
    "batch_size": 8,
    "updates_per_iteration": 4,
    "target_sync_env_steps": 40,
    "epsilon_endpoints": ((0, 1.0), (200, 0.1)),
    "epsilon_final": 0.1,
    "learning_rate": 1e-2,
    "checkpoint_interval_iterations": 12,
    "evaluation_interval_iterations": None,
    "stop_at_score": None,
}
STOP_AT = 12  # a checkpoint is due, and the ring has been overwritten


def settings_of(game):
    """Returns the settings of the short run."""
    from keras_dqn import presets

    if game == "Breakout":
        return presets.breakout(**{**_COMMON, "hidden_units": 16})
    return presets.cartpole(**{**_COMMON, "env_id": game, "hidden_units": 8})


def write(folder, game):
    """Trains to the checkpoint, and notes what whoever loads it must find."""
    from keras_dqn.runs import parts
    from keras_dqn.runs.run import Run

    def stop(agent, progress):
        return progress.iteration + 1 == STOP_AT

    options = {"console": "none", "evaluation": False, "callbacks": [stop]}
    with Run(settings_of(game), folder, **options) as run:
        parts.train(run)
    for path in folder.iterdir():
        if path.is_file() and path.name != "settings.json":
            path.unlink()
    (folder / EXPECTED).write_text(json.dumps(read(folder), indent=1) + "\n")


def read(folder, more=UPDATES):
    """Loads the checkpoint; returns what it holds, and its first update.

    Then it takes `more` updates, and says whether all is still finite.
    """
    import keras

    from keras_dqn import checkpoint
    from keras_dqn import presets
    from keras_dqn.config import Settings
    from keras_dqn.envs import make_envs
    from keras_dqn.run_state import RunState
    from keras_dqn.runs import digests
    from keras_dqn.runs.directory import RunDirectory
    from keras_dqn.runs.parts import make_agent

    _, parts, meta, *_ = checkpoint.load(RunDirectory(folder).checkpoints)
    settings = Settings.from_dict(meta["settings"])
    state = RunState.from_seed(settings.seed)
    state.load_meta(meta["run"])
    state.statistics.load_state_dict(parts["episodes"])
    options = presets.env_options(settings)
    with make_envs(settings.env_id, settings.num_envs, **options) as envs:
        agent = make_agent(settings, envs)
        agent.build(envs)
        learner, replay = agent.learner, agent.replay
        learner.load_state_dict(parts["learner"])
        replay.load_state_dict(parts["replay"])
        found = {
            "backend": keras.config.backend(),
            "iteration": state.iteration,
            "updates": state.updates,
            "digests": {
                **digests.of_learner(learner),
                **digests.of_replay(replay),
                **digests.of_run_state(state),
            },
        }
        env_steps = state.iteration * settings.env_steps_per_iteration
        found["epsilon"] = settings.epsilon_schedule(env_steps)
        found["beta"] = settings.beta_schedule(env_steps)
        found.update(_updates(learner, replay, settings, found["beta"], state, more))
        return found


def _updates(learner, replay, settings, beta, state, more):
    """The first update, and whether `more` leave all weights finite."""

    def update():
        sample = replay.sample(settings.batch_size, state.replay_rng, beta=beta)
        return sample, learner.update(sample.batch)

    sample, first = update()
    losses = [float(update()[1].loss) for _ in range(more)]
    weights = learner.state_dict().values()
    finite = np.isfinite(losses).all() and all(np.isfinite(w).all() for w in weights)
    return {
        "ids": sample.ids.tolist(),
        "loss": float(first.loss),
        "td_errors": first.td_errors.tolist(),
        "is_finite_after_more": bool(finite),
        "mean_loss_of_more": float(np.mean(losses)),
    }


def differences(expected, found):
    """Returns the names of what must be equal to the bit and is not, and the loss.

    Args:
        expected: What `read` returned to the backend that wrote the checkpoint.
        found: What it returned to the other.

    Returns:
        `(names, loss)`: a list of strings, and the relative difference of the
        first update's loss.
    """
    exact = ("iteration", "updates", "epsilon", "beta", "ids")
    names = [name for name in exact if expected[name] != found[name]]
    one, other = expected["digests"], found["digests"]
    names += [name for name in one if one[name] != other.get(name)]
    if not found["is_finite_after_more"]:
        names.append("not finite after more updates")
    loss = abs(found["loss"] - expected["loss"]) / abs(expected["loss"])
    return names, loss


def ask(backend, python, *words):
    """Runs this script on a backend. Returns what it printed."""
    done = subprocess.run(
        [python, __file__, *map(str, words)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{backend} failed: {done.stderr[-3000:]}")
    return done.stdout


def compare(pythons, game, folder):
    """Prints the table. Returns its rows."""
    rows = []
    print("| written by | read by | first loss, relatively | unequal |")
    print("| --- | --- | --- | --- |")
    for backend, python in pythons.items():
        ask(backend, python, "write", folder / backend, "--game", game)
    for writer in pythons:
        expected = json.loads((folder / writer / EXPECTED).read_text())
        for reader, python in pythons.items():
            found = json.loads(ask(reader, python, "read", folder / writer))
            names, loss = differences(expected, found)
            rows.append([writer, reader, loss, names])
            shown = ", ".join(names) or "nothing"
            print(f"| {writer} | {reader} | {loss:.1e} | {shown} |", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="+", metavar="BACKEND=PYTHON")
    parser.add_argument(
        "--game", default="Breakout", choices=["Breakout", "CartPole-v1"]
    )
    parser.add_argument("--quick", action="store_true", help="CartPole, not Breakout")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    game = "CartPole-v1" if options.quick else options.game
    command, *folders = options.words
    if command == "write":
        write(pathlib.Path(folders[0]), game)
        return 0
    if command == "read":
        print(json.dumps(read(pathlib.Path(folders[0]))))
        return 0
    pythons = dict(word.split("=", 1) for word in options.words)
    description = machine.describe()
    machine.print_description(description)
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(pythons, game, pathlib.Path(folder))
    good = all(loss <= TOLERANCE and not names for *_, loss, names in rows)
    print(
        f"\nEqual, and the first loss within {TOLERANCE:.0e}: {'yes' if good else 'NO'}"
    )
    if options.json:
        result = {"machine": description, "rows": rows, "good": good}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
