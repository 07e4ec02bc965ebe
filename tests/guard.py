"""A task of which all Q-values are known, for `test_guard.py`.

A dot moves round a ring of cells, left or right for a whole episode. The right action
is its direction, which only the order of two frames shows. A wrong action ends the
episode. A right one pays 4 with probability 1/4, and the episode goes on with
probability 3/4. With the discount gamma:

    Q(right)        = 1 + gamma * 3/4 * Q(right)
    Q(wrong)        = 0
    Q(either)       = Q(right) / 2 at the first frame, which shows no direction
"""

import keras
import numpy as np
from keras import layers
from keras import ops

import keras_dqn
from keras_dqn.envs import VectorEnvs

CELLS = 6
GAMMA = 0.8
Q_RIGHT = 1.0 / (1.0 - 0.75 * GAMMA)  # 2.5
TOLERANCE = 0.4
LEARNING_RATE = 1e-2  # at the start


class Ring(VectorEnvs):
    """The dot on its ring: stacks of two frames, each `(1, CELLS)` of bytes."""

    env_id = "Ring"
    num_actions = 2
    observation_shape = (1, CELLS, 2)
    observation_dtype = np.dtype("uint8")
    stored_shape = (2, 1, CELLS)
    frame_stack = 2

    def __init__(self, num_envs=8, seed=0):
        super().__init__(num_envs, seed)
        self.recipe = (type(self), {})
        self.options = {"env_id": self.env_id, "num_envs": num_envs, "seed": seed}

    def _reset(self, seeds):
        self._rng = np.random.default_rng(int(seeds[0]))
        self._stacks = np.zeros((self.num_envs, *self.stored_shape), np.uint8)
        self._cells = np.zeros(self.num_envs, int)
        self._directions = np.zeros(self.num_envs, int)
        self._restart(np.ones(self.num_envs, bool))
        return self._stacks.copy()

    def _send(self, actions):
        self._actions = actions

    def _recv(self):
        draws = self._rng.random((2, self.num_envs))
        is_right = self._actions == (self._directions > 0)
        rewards = np.where(is_right & (draws[0] < 0.25), 4.0, 0.0).astype(np.float32)
        terminated = ~is_right | (draws[1] < 0.25)
        self._cells = (self._cells + self._directions) % CELLS
        self._show(np.ones(self.num_envs, bool))
        final = self._stacks.copy()
        self._restart(terminated)
        return self._finish(
            observations=self._stacks.copy(),
            rewards=rewards,
            training_rewards=rewards.copy(),
            terminated=terminated,
            truncated=np.zeros(self.num_envs, bool),
            restarted=terminated.copy(),
            final_observations=final,
            lives=np.full(self.num_envs, -1),
            out_of_time=np.zeros(self.num_envs, bool),
        )

    def _close(self):
        pass

    def _newest_frames(self, observations):
        return None

    def _restart(self, which):
        count = int(which.sum())
        self._cells[which] = self._rng.integers(CELLS, size=count)
        self._directions[which] = self._rng.choice([-1, 1], size=count)
        self._stacks[which] = 0
        self._show(which)

    def _show(self, which):
        """Moves the newest frames back and draws the dot."""
        self._stacks[which, 0] = self._stacks[which, 1]
        self._stacks[which, 1] = 0
        envs = np.flatnonzero(which)
        self._stacks[envs, 1, 0, self._cells[envs]] = 255


def trained(env_steps=4_000, seed=1):
    """Returns an agent that was trained on the ring."""
    inputs = keras.Input(Ring.observation_shape, dtype="uint8")
    x = layers.Flatten()(ops.cast(inputs, "float32") / 255.0)
    seeds = keras.initializers.HeNormal(seed), keras.initializers.HeNormal(seed + 1)
    x = layers.Dense(128, "relu", kernel_initializer=seeds[0])(x)
    q_values = layers.Dense(2, kernel_initializer=seeds[1])(x)
    replay = keras_dqn.PrioritizedReplay(
        4_000, alpha=0.8, priority_epsilon=0.05, gamma=GAMMA
    )
    agent = keras_dqn.DQNAgent(keras.Model(inputs, q_values), replay)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, env_steps // 4)
    agent.compile(keras.optimizers.Adam(rate, clipnorm=10.0), huber_delta=100.0)
    with Ring() as envs:
        agent.fit(
            envs,
            env_steps=env_steps,
            seed=seed,
            vector_steps_per_iteration=1,
            updates_per_iteration=2,
            batch_size=64,
            learning_starts_env_steps=160,
            target_sync_env_steps=160,
            epsilon_endpoints=(),
            epsilon_final=0.5,
            beta_endpoints=(),
            beta_final=1.0,
            monitors=None,
        )
    return agent


def q_values_of(agent):
    """Returns the mean Q-values by name, over all cells."""
    frames = np.eye(CELLS, dtype=np.uint8)[:, None] * np.uint8(255)
    found = {"right": [], "wrong": [], "first": []}
    for cell in range(CELLS):
        first = np.stack([np.zeros_like(frames[0]), frames[cell]])
        stacks = [first]
        for direction in (-1, 1):
            stacks.append(np.stack([frames[(cell - direction) % CELLS], frames[cell]]))
        first, left, right = agent.learner.q_values(np.stack(stacks))
        found["first"] += first.tolist()
        found["right"] += [left[0], right[1]]
        found["wrong"] += [left[1], right[0]]
    return {name: float(np.mean(values)) for name, values in found.items()}


def draws_by_error(agent):
    """Returns how much larger TD errors are among draws than among transitions."""
    replay, rng = agent.replay, np.random.default_rng(0)
    batch = replay.sample(2_000, rng).batch
    q_values = agent.learner.q_values
    rows = np.arange(2_000)
    next_values = q_values(batch["next_observations"]).max(axis=1)
    targets = batch["rewards"] + batch["discounts"] * next_values
    errors = np.abs(q_values(batch["observations"])[rows, batch["actions"]] - targets)
    # A draw has the probability p, and weight 1 / p: the weighted mean is over all.
    return errors.mean() / np.average(errors, weights=batch["weights"])


def check(agent):
    """Raises `AssertionError` if the agent has not learned what there is to learn."""
    found = q_values_of(agent)
    expected = {"right": Q_RIGHT, "wrong": 0.0, "first": Q_RIGHT / 2}
    for name, value in expected.items():
        assert abs(found[name] - value) < TOLERANCE, (name, found)
    ratio = draws_by_error(agent)
    assert ratio > 1.25, f"draws have {ratio:.2f} times the usual TD error"
