"""Tunes settings with Optuna, which ends poor trials early.

    pip install optuna
    python examples/apps/tuning.py
    python examples/apps/tuning.py --trials 40 --env-steps 50000 --storage sqlite:///a.db

A trial trains on CartPole and is evaluated at intervals. A trial whose score is below
the median of the others at the same point is pruned. With `--storage` the trials are
kept in a file: the same command continues, and several may run at once.
"""

import argparse

import keras
import optuna

import keras_dqn

ENV_ID = "CartPole-v1"
EVALUATIONS = 5  # of a trial


def train(trial, env_steps):
    """Trains with the settings that Optuna suggests; returns the last score."""
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    units = trial.suggest_categorical("hidden_units", [32, 64, 128])
    sync = trial.suggest_int("target_sync_env_steps", 64, 1_024, log=True)
    alpha = trial.suggest_float("alpha", 0.0, 1.0)
    agent = keras_dqn.DQNAgent(
        keras_dqn.models.dueling_mlp(2, (4,), (units, units), seed=0),
        keras_dqn.PrioritizedReplay(env_steps, alpha=alpha),
    )
    agent.compile(keras.optimizers.Adam(rate, clipnorm=10.0))

    scores = []

    def evaluate(agent, progress):
        """Evaluates at each fifth of the run; true ends it."""
        due = (len(scores) + 1) * progress.total_env_steps / EVALUATIONS
        if progress.env_steps_done < due:
            return False
        scores.append(agent.evaluate(ENV_ID, episodes=5, epsilon=0.0).mean)
        trial.report(scores[-1], len(scores))
        return trial.should_prune()

    settings = keras_dqn.presets.cartpole(
        env_steps=env_steps, target_sync_env_steps=sync
    )
    agent.fit(ENV_ID, settings=settings, callbacks=[evaluate], monitors=None)
    if trial.should_prune():
        raise optuna.TrialPruned
    return scores[-1]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--env-steps", type=int, default=20_000, help="of a trial")
    parser.add_argument("--storage", help="a database, such as sqlite:///trials.db")
    args = parser.parse_args(argv)
    study = optuna.create_study(
        storage=args.storage,
        study_name=ENV_ID,
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    study.optimize(lambda trial: train(trial, args.env_steps), args.trials)
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in study.trials)
    print(f"{len(study.trials)} trials, {pruned} of them pruned")
    print(f"best score {study.best_value:.1f} with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
