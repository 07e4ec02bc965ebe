"""The training loop: deep Q-learning as a generator of `Progress` records.

One iteration is algorithm 1 of the paper, for several environments:

    take some steps in every environment and store the transitions
    repeat `updates_per_iteration` times:
        sample a minibatch by priority
        take a gradient step
        update the priorities of the sampled transitions
    every `target_sync_env_steps`: copy the online network to the target network

The loop prints nothing and writes no files. Its consumer does, between iterations.

Reference:
    - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), algorithm 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Generator
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_dqn import checks
from keras_dqn import interfaces
from keras_dqn.choices import Choices
from keras_dqn.config import SettingsError
from keras_dqn.exploration import epsilon_greedy
from keras_dqn.progress import Progress
from keras_dqn.replay.sample import effective_sample_size

if TYPE_CHECKING:
    from keras_dqn.config import Settings
    from keras_dqn.envs.base import VectorEnvs
    from keras_dqn.envs.step import Episode
    from keras_dqn.replay.base import Replay
    from keras_dqn.run_state import RunState


_FRAMES = {"host": "stacks", "accelerator": "numbers"}  # `replay_device` to `frames`


def run(
    learner: Any,
    replay: Replay,
    envs: VectorEnvs,
    settings: Settings,
    state: RunState,
    choices: Choices | None = None,
) -> Generator[Progress, None, None]:
    """Trains until `settings.env_steps`, yielding once per iteration.

    Actions are sent to the environments before the gradient steps, and results are
    received after them, so that the emulators run during training. The order is
    fixed, so a run is reproducible. The first actions of an iteration were chosen
    before the gradient steps of the previous iteration.

    The state of emulators is not saved. Instead, whenever a checkpoint is due, every
    `checkpoint_interval_iterations`, all games are restarted with a seed that
    depends only on the run's seed and the iteration. From there on, a resumed run
    plays the same games as a run that never stopped.

    Args:
        learner: `Learner`.
        replay: Built `PrioritizedReplay` or `UniformReplay`.
        envs: Vector environments (see `keras_dqn.envs`).
        settings: `Settings`. Only the fields of its section "Run" are used.
        state: `RunState`, changed in place.
        choices: `Choices`. Default: epsilon-greedy, the settings' schedules.

    Yields:
        `Progress`, one per iteration. Training pauses until the next is requested.
    """
    choices = choices or Choices()
    epsilon_at = choices.epsilon or settings.epsilon_schedule
    beta_at = choices.beta or settings.beta_schedule
    explore = choices.exploration
    actor = Actor(learner.q_values, envs, replay, state.exploration_rng, explore)
    while state.iteration < settings.iterations:
        started = time.perf_counter()
        env_steps = state.iteration * settings.env_steps_per_iteration
        epsilon = checks.probability("epsilon", epsilon_at(env_steps))
        beta = checks.probability("beta", beta_at(env_steps))
        if not actor.is_playing or is_checkpoint_due(settings, state):
            actor.restart(state.envs_seed(), epsilon)
        episodes = actor.collect(settings.vector_steps_per_iteration, epsilon)
        state.record(episodes, actor.reward_abs_max)
        updates: list[Any] = []
        sampled: list[tuple[np.ndarray, np.ndarray]] = []
        if replay.size >= settings.learning_starts:
            updates, sampled = learn(learner, replay, settings, beta, state)
            if state.iteration % settings.target_sync_interval_iterations == 0:
                learner.sync_target()
        progress = Progress(
            epsilon=epsilon,
            beta=beta,
            seconds=time.perf_counter() - started,
            episodes=tuple(episodes),
            **_counters(settings, state),
            **_learning_statistics(updates, sampled),
            **_statistics(learner, replay, state),
            **_histogram(updates, settings, state),
        )
        state.iteration += 1
        yield progress


class Actor:
    """Plays the environments and stores the steps. It needs no `Learner`.

    Args:
        q_values: Function from observations to Q-values `(num_envs, actions)`:
            `Learner.q_values`, or a `backend.QFunction` in a process that only acts.
        envs: Vector environments (see `keras_dqn.envs`).
        replay: Object with methods `start(observations)` and `add(actions, step)`.
        rng: `numpy.random.Generator` for the random actions.
        explore: Function that chooses actions, see `interfaces.Exploration`.

    Attributes:
        is_playing: Boolean, whether games were started.
        reward_abs_max: Float, the largest |training reward| so far.
    """

    def __init__(
        self,
        q_values: Callable[[np.ndarray], np.ndarray],
        envs: VectorEnvs,
        replay: Any,
        rng: np.random.Generator,
        explore: interfaces.Exploration = epsilon_greedy,
    ) -> None:
        self._q_values, self._envs, self._replay = q_values, envs, replay
        self._rng, self._explore = rng, explore
        self._actions = None  # sent, without a result yet
        self.reward_abs_max = 0.0

    @property
    def is_playing(self) -> bool:
        return self._actions is not None

    def restart(self, seed: int, epsilon: float) -> None:
        """Aborts all games, starts new ones and sends their first actions.

        Args:
            seed: Integer, seed of the games.
            epsilon: Float from 0 to 1, probability of a random action.
        """
        observations = self._envs.reset(seed=seed)
        self._replay.start(observations)
        self._send(observations, epsilon)

    def collect(self, vector_steps: int, epsilon: float) -> list[Episode]:
        """Plays and stores steps. Returns the `Episode`s that ended.

        Args:
            vector_steps: Integer, steps in every environment.
            epsilon: Float from 0 to 1, probability of a random action.
        """
        episodes: list[Episode] = []
        for _ in range(vector_steps):
            step = self._envs.recv()
            self._replay.add(self._actions, step)
            episodes += step.episodes
            largest = float(np.abs(step.training_rewards).max())
            self.reward_abs_max = max(self.reward_abs_max, largest)
            self._send(step.observations, epsilon)
        return episodes

    def _send(self, observations, epsilon):
        q_values = self._q_values(observations)
        self._actions = self._explore(q_values, epsilon, self._rng)
        self._envs.send(self._actions)


def learn(
    learner: Any, replay: Replay, settings: Settings, beta: float, state: RunState
) -> tuple[list[Any], list[tuple[np.ndarray, np.ndarray]]]:
    """Takes the gradient steps of an iteration.

    Args:
        learner: `Learner`.
        replay: `PrioritizedReplay` or `UniformReplay`, not empty.
        settings: `Settings`: batch size, number of updates, device of the frames.
        beta: Float, exponent of the importance-sampling weights.
        state: `RunState`. Its `updates` are increased, and its `replay_rng` is used.

    Returns:
        `(updates, sampled)`: lists with an entry for each dispatch. Those of `sampled`
        are the weights and the ages of the sampled transitions.
    """
    at_once = settings.updates_per_dispatch
    updates, sampled = [], []
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
        replay.update_priorities(sample.ids, update.priorities)
        state.updates += at_once
        updates.append(update)
        sampled.append((sample.batch["weights"], sample.ages))
    return updates, sampled


def check_learning_starts(
    settings: Settings, stored: int = 0, iteration: int = 0
) -> None:
    """Refuses a run that would end before its first gradient step.

    Args:
        settings: `Settings`.
        stored: Integer, transitions that are already in the replay.
        iteration: Integer, the next iteration.

    Raises:
        SettingsError: If the replay will never hold enough transitions.
    """
    steps = (settings.iterations - iteration) * settings.env_steps_per_iteration
    if steps <= 0 or stored + steps >= settings.learning_starts:
        return
    is_given = settings.learning_starts_env_steps is not None
    name = "learning_starts_env_steps" if is_given else "replay_capacity"
    hint = "" if is_given else ". Or set `learning_starts_env_steps`"
    raise SettingsError(
        f"This run would never train: `{name}` must be <= {stored + steps}, the number "
        f"of transitions in the replay plus the remaining agent steps{hint}. Received: "
        f"{name}={settings.learning_starts}, env_steps={settings.env_steps}",
        name,
    )


class Phases:
    """Says before each iteration what it will do: the first update is slow to compile.

    Args:
        settings, state, replay: See `run`.
        announce: Function that takes `"filling"`, `"compiling"` or `"training"`.
    """

    def __init__(
        self,
        settings: Settings,
        state: RunState,
        replay: Replay,
        announce: Callable[[str], Any],
    ) -> None:
        self._settings, self._state, self._replay = settings, state, replay
        self._announce, self._updates_before = announce, state.updates

    def announce(self) -> None:
        """Announces the phase of the next iteration, if there is one."""
        settings, state = self._settings, self._state
        if state.iteration >= settings.iterations:
            return
        stored = self._replay.size + settings.env_steps_per_iteration
        if stored < settings.learning_starts:
            self._announce("filling")
        else:
            is_first = state.updates == self._updates_before
            self._announce("compiling" if is_first else "training")


def is_checkpoint_due(settings: Settings, state: RunState) -> bool:
    """Whether a checkpoint is due and all games restart before the next iteration."""
    return state.iteration % settings.checkpoint_interval_iterations == 0


def _histogram(updates, settings, state):
    """Returns predictions and targets of the last minibatch, if they are due."""
    is_due = state.iteration % settings.histogram_interval_iterations == 0
    if not updates or not is_due:
        return {}
    size = settings.batch_size
    q_values = updates[-1].q_values.reshape(-1)[-size:]
    td_errors = updates[-1].td_errors.reshape(-1)[-size:]
    return {"histogram_q": q_values, "histogram_targets": q_values - td_errors}


def _counters(settings, state):
    each = settings.env_steps_per_iteration
    return {
        "iteration": state.iteration,
        "env_steps": state.iteration * each,
        "env_steps_done": (state.iteration + 1) * each,
        "total_env_steps": settings.iterations * each,
        "updates": state.updates,
    }


def _learning_statistics(updates, sampled):
    """Returns the statistics of the gradient steps for `Progress`."""
    if not updates:
        unknown = ("loss", "q_mean", "q_std", "td_error")
        return {"is_training": False, **dict.fromkeys(unknown)}
    q_values = np.concatenate([update.q_values.ravel() for update in updates])
    td_errors = np.concatenate([update.td_errors.ravel() for update in updates])
    weights, ages = zip(*sampled, strict=True)
    return {
        "is_training": True,
        "loss": float(np.mean([np.mean(update.loss) for update in updates])),
        "q_mean": float(q_values.mean()),
        "q_std": float(q_values.std()),
        "q_abs_max": float(np.abs(q_values).max()),
        "td_error": float(np.abs(td_errors).mean()),
        "gradient_norm": float(np.mean([each.gradient_norm for each in updates])),
        "effective_sample_size": effective_sample_size(np.stack(weights)),
        "sample_age_mean": float(np.stack(ages).mean()),
    }


def _statistics(learner, replay, state):
    """Returns the statistics of episodes, learner and replay for `Progress`."""
    statistics = state.statistics
    return {
        "learning_rate": learner.learning_rate,
        "max_priority": replay.max_priority,
        "reward_abs_max": state.reward_abs_max,
        "episode_count": statistics.count,
        "score_mean": statistics.mean(statistics.scores),
        "length_mean": statistics.mean(statistics.lengths),
        "best_score": statistics.best_score,
        "best_frame": statistics.best_frame,
        "replay_size": replay.size,
        "replay_capacity": replay.capacity,
        "replay_nbytes": replay.nbytes,
    }
