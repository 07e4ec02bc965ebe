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

import collections
import dataclasses
import time

import numpy as np

from keras_dqn.exploration import epsilon_greedy
from keras_dqn.progress import Progress

EPISODE_WINDOW = 100  # episodes in the running means
_FRAMES = {"host": "stacks", "accelerator": "numbers"}  # by `replay_device`
_RNGS = ("exploration_rng", "replay_rng", "monitor_rng")


class EpisodeAccounts:
    """Counts finished episodes, averages the last 100, remembers the best."""

    def __init__(self):
        self.count = 0
        self.scores = collections.deque(maxlen=EPISODE_WINDOW)
        self.lengths = collections.deque(maxlen=EPISODE_WINDOW)
        self.best_score = None
        self.best_frame = None

    def add(self, episode):
        """Takes one `Episode`. The best is only replaced by a better one."""
        self.count += 1
        self.scores.append(episode.score)
        self.lengths.append(episode.length)
        if episode.score > (self.best_score or 0.0):
            self.best_score = episode.score
            self.best_frame = episode.final_frame

    def mean(self, values):
        """Returns the mean of `scores` or `lengths`, `None` without any."""
        return float(np.mean(values)) if values else None

    def state_dict(self):
        """Returns the accounts as a dictionary of arrays."""
        state = {
            "count": np.int64(self.count),
            "scores": np.array(self.scores, np.float64),
            "lengths": np.array(self.lengths, np.int64),
            "best_score": np.float64(self.best_score or 0.0),
        }
        if self.best_frame is not None:
            state["best_frame"] = self.best_frame
        return state

    @staticmethod
    def state_limits():
        """Returns `(dtype, shape)` by name, see `Replay.state_limits`."""
        return {
            "count": (np.int64, ()),
            "scores": (np.float64, (EPISODE_WINDOW,)),
            "lengths": (np.int64, (EPISODE_WINDOW,)),
            "best_score": (np.float64, ()),
            "best_frame": (np.uint8, (4096, 4096, 4)),
        }

    def load_state_dict(self, state):
        """Takes over what `state_dict` returned.

        Raises:
            ValueError: If something is missing or impossible. Nothing is changed.
        """
        missing = self.state_limits().keys() - state.keys() - {"best_frame"}
        if missing or state["scores"].shape != state["lengths"].shape:
            raise ValueError(
                "The episodes' state must have as many `scores` as `lengths`, and all "
                f"entries. Received: missing {sorted(missing)}"
            )
        self.count = int(state["count"])
        self.scores = collections.deque(state["scores"].tolist(), EPISODE_WINDOW)
        self.lengths = collections.deque(state["lengths"].tolist(), EPISODE_WINDOW)
        self.best_score = float(state["best_score"]) or None
        self.best_frame = state.get("best_frame")


@dataclasses.dataclass
class RunState:
    """What the loop remembers from one iteration to the next.

    The networks are in the learner and the transitions in the replay; this is
    the rest: counters, episode accounts, and one generator per user of chance,
    all from the run's seed, so that none disturbs another.

    Attributes:
        iteration: Integer, the next iteration's number.
        updates: Integer, gradient steps taken.
        accounts: `EpisodeAccounts`.
        exploration_rng: Draws the random actions.
        replay_rng: Draws the minibatches.
        monitor_rng: Draws the minibatches that are only looked at.
        seed: Integer, the run's seed.
        reward_abs_max: Float, the largest |training reward| so far.
    """

    iteration: int
    updates: int
    accounts: EpisodeAccounts
    exploration_rng: np.random.Generator
    replay_rng: np.random.Generator
    monitor_rng: np.random.Generator
    seed: int
    reward_abs_max: float = 0.0

    @classmethod
    def from_seed(cls, seed):
        """Returns the state of a run that has not begun."""
        streams = np.random.SeedSequence(seed).spawn(len(_RNGS))
        rngs = [np.random.default_rng(stream) for stream in streams]
        return cls(0, 0, EpisodeAccounts(), *rngs, seed)

    def envs_seed(self):
        """Returns the seed for games that begin before the next iteration."""
        key = (len(_RNGS), self.iteration)
        stream = np.random.SeedSequence(self.seed, spawn_key=key)
        return int(stream.generate_state(1)[0] >> 1)

    def to_meta(self):
        """Returns counters and generators as values that JSON can hold."""
        return {
            "iteration": self.iteration,
            "updates": self.updates,
            "seed": self.seed,
            "reward_abs_max": self.reward_abs_max,
            **{name: getattr(self, name).bit_generator.state for name in _RNGS},
        }

    def load_meta(self, meta):
        """Takes over what `to_meta` returned.

        Raises:
            ValueError: If a counter or a generator is missing or impossible.
        """
        for name in ("iteration", "updates", "seed"):
            value = meta.get(name)
            if type(value) is not int or not 0 <= value < 2**63:
                raise ValueError(
                    f"`{name}` must be a counter. Received: {name}={value!r:.100}"
                )
        reward_abs_max = meta.get("reward_abs_max", 0.0)
        if type(reward_abs_max) is not float or not 0.0 <= reward_abs_max < np.inf:
            raise ValueError(
                "`reward_abs_max` must be a finite float, at least 0. Received: "
                f"reward_abs_max={reward_abs_max!r:.100}"
            )
        try:
            for name in _RNGS:
                getattr(self, name).bit_generator.state = meta[name]
        except (KeyError, TypeError, OverflowError, ValueError) as error:
            raise ValueError(f"`{name}` is no generator's state: {error}") from None
        self.iteration = meta["iteration"]
        self.updates = meta["updates"]
        self.seed = meta["seed"]
        self.reward_abs_max = reward_abs_max


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
            state.accounts.add(episode)
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
    accounts = state.accounts
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
        "episode_count": accounts.count,
        "score_mean": accounts.mean(accounts.scores),
        "length_mean": accounts.mean(accounts.lengths),
        "best_score": accounts.best_score,
        "best_frame": accounts.best_frame,
        "replay_size": replay.size,
        "replay_capacity": replay.capacity,
        "replay_nbytes": replay.nbytes,
    }
