"""The training loop: deep Q-learning as a generator of `Progress` records.

One iteration is the algorithm box of the paper, for several environments:

    play a few steps of every environment, and store them
    take as many gradient steps as the replay ratio asks for,
        each on a minibatch drawn by priority,
        and give what was drawn its new priority
    now and then, make the target network equal to the online one

The loop prints nothing and writes no file. Whoever consumes the records does,
between iterations.

Reference:
    - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), algorithm 1.
"""

import time

import numpy as np

from keras_dqn.exploration import epsilon_greedy
from keras_dqn.progress import Progress

_FRAMES = {"host": "stacks", "accelerator": "numbers"}  # by `replay_device`


def run(learner, replay, envs, settings, state):
    """Trains until `settings.env_steps`, yielding once per iteration.

    The emulators are sent their next actions before the gradient steps and are
    asked for the result after them, so that they run while the device trains.
    The order is fixed, so a run is reproducible; the first actions of an
    iteration were chosen before the gradient steps of the one before.

    Emulators cannot be saved. So whenever a checkpoint is due, every
    `checkpoint_interval_iterations`, all games are cut and started anew from a
    seed that depends on the iteration alone: a run that was resumed there and
    one that never stopped play the same games from there on.

    Args:
        learner: `Learner`, which acts and learns.
        replay: Built `PrioritizedReplay` or `UniformReplay`.
        envs: Vector environments (see `keras_dqn.envs`).
        settings: `Settings`. Of it the loop reads the section "Run".
        state: `RunState`, changed in place.

    Yields:
        `Progress`, one per iteration. While a consumer holds it nothing moves.
    """
    epsilon_at, beta_at = settings.epsilon_schedule, settings.beta_schedule
    actions = None
    while state.iteration < settings.iterations:
        started = time.perf_counter()
        env_steps = state.iteration * settings.env_steps_per_iteration
        epsilon, beta = epsilon_at(env_steps), beta_at(env_steps)
        if actions is None or is_checkpoint_due(settings, state):
            observations = envs.reset(seed=state.envs_seed())
            replay.start(observations)
            actions = _act(learner, observations, epsilon, state)
            envs.send(actions)
        episodes = []
        for _ in range(settings.vector_steps_per_iteration):
            step = envs.recv()
            replay.add(actions, step)
            episodes += step.episodes
            largest = float(np.abs(step.training_rewards).max())
            state.reward_abs_max = max(state.reward_abs_max, largest)
            actions = _act(learner, step.observations, epsilon, state)
            envs.send(actions)
        for episode in episodes:
            state.statistics.add(episode)
        updates = []
        if replay.size >= settings.learning_starts:
            updates = _train(learner, replay, settings, beta, state)
            if state.iteration % settings.target_sync_interval_iterations == 0:
                learner.sync_target()
        seconds = time.perf_counter() - started
        progress = Progress(
            epsilon=epsilon,
            beta=beta,
            seconds=seconds,
            episodes=tuple(episodes),
            **_counters(settings, state),
            **_figures(updates, state, replay),
            **_histogram(learner, replay, settings, beta, state, bool(updates)),
        )
        state.iteration += 1
        yield progress


def is_checkpoint_due(settings, state):
    """Whether the games are started anew before the next iteration."""
    return state.iteration % settings.checkpoint_interval_iterations == 0


def _act(learner, observations, epsilon, state):
    q_values = learner.q_values(observations)
    return epsilon_greedy(q_values, epsilon, state.exploration_rng)


def _train(learner, replay, settings, beta, state):
    """Takes an iteration's gradient steps; returns what each dispatch found."""
    at_once = settings.updates_per_dispatch
    found = []
    for _ in range(settings.updates_per_iteration // at_once):
        sample = replay.sample(
            settings.batch_size,
            state.replay_rng,
            beta=beta,
            batches=None if at_once == 1 else at_once,
            frames=_FRAMES[settings.replay_device],
        )
        step = learner.update if at_once == 1 else learner.update_many
        update = step(sample.batch)
        replay.update_priorities(sample.ids, update.td_errors)
        state.updates += at_once
        found.append(update)
    return found


def _histogram(learner, replay, settings, beta, state, is_training):
    """Looks at one more minibatch, without training, when it is due."""
    is_due = state.iteration % settings.histogram_interval_iterations == 0
    if not is_training or not is_due:
        return {}
    frames = _FRAMES[settings.replay_device]
    sample = replay.sample(
        settings.batch_size, state.monitor_rng, beta=beta, frames=frames
    )
    q_values, targets = learner.inspect(sample.batch)
    return {"histogram_q": q_values, "histogram_targets": targets}


def _counters(settings, state):
    each = settings.env_steps_per_iteration
    return {
        "iteration": state.iteration,
        "env_steps": state.iteration * each,
        "env_steps_done": (state.iteration + 1) * each,
        "total_env_steps": settings.iterations * each,
        "updates": state.updates,
    }


def _figures(updates, state, replay):
    """Returns what a record says of learning, episodes and replay."""
    statistics = state.statistics
    q_values = np.concatenate([u.q_values.ravel() for u in updates] or [np.zeros(1)])
    td_errors = np.concatenate([u.td_errors.ravel() for u in updates] or [np.zeros(1)])
    return {
        "is_training": bool(updates),
        "loss": float(np.mean([np.mean(u.loss) for u in updates] or [0.0])),
        "q_mean": float(q_values.mean()),
        "q_std": float(q_values.std()),
        "q_abs_max": float(np.abs(q_values).max()),
        "reward_abs_max": state.reward_abs_max,
        "td_error": float(np.abs(td_errors).mean()),
        "episode_count": statistics.count,
        "score_mean": statistics.mean(statistics.scores),
        "length_mean": statistics.mean(statistics.lengths),
        "best_score": statistics.best_score,
        "best_frame": statistics.best_frame,
        "replay_size": replay.size,
        "replay_capacity": replay.capacity,
        "replay_nbytes": replay.nbytes,
    }
