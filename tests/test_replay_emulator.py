"""What the replay gives back is what the real emulator returned, bit for bit."""

import numpy as np
import pytest

from keras_dqn.envs import make_envs
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay

pytestmark = pytest.mark.numpy
NUM_ENVS = 4
CAPACITY = 256  # 64 steps of each game, so that the ring goes round many times
GAMMA = 0.9


class History:
    """Keeps every observation of every step whole, for ever."""

    def __init__(self, observations):
        self.observations = [observations.copy()]
        self.steps, self.actions = [], []

    def add(self, actions, step):
        self.actions.append(actions.copy())
        self.steps.append(step)
        self.observations.append(step.observations.copy())

    def transition(self, number, n_steps):
        """What one transition should be, by walking through the steps."""
        time, env = divmod(number, NUM_ENVS)
        rewards, discount = 0.0, 1.0
        for step in self.steps[time : time + n_steps]:
            rewards += discount * float(step.training_rewards[env])
            discount *= GAMMA
            if step.terminated[env] or step.restarted[env]:
                break
        return {
            "observations": self.observations[time][env],
            "actions": self.actions[time][env],
            "rewards": np.float32(rewards),
            "discounts": np.float32(0.0 if step.terminated[env] else discount),
            "next_observations": step.final_observations[env],
        }


@pytest.mark.parametrize(
    ("game", "life_loss", "n_steps", "max_episode_frames", "kind"),
    [
        ("Breakout", "reset", 1, 108_000, PrioritizedReplay),
        ("Breakout", "terminal", 3, 108_000, PrioritizedReplay),
        ("Pong", "ignore", 2, 400, UniformReplay),
        ("SpaceInvaders", "terminal", 1, 700, PrioritizedReplay),
    ],
)
def test_samples_equal_what_the_emulator_returned(
    game, life_loss, n_steps, max_episode_frames, kind
):
    rng = np.random.default_rng(0)
    replay = kind(CAPACITY, gamma=GAMMA, n_steps=n_steps)
    seen, ended, truncated = 0, 0, 0
    with make_envs(
        game, NUM_ENVS, life_loss=life_loss, max_episode_frames=max_episode_frames
    ) as envs:
        replay.build(
            num_envs=NUM_ENVS,
            stored_shape=envs.stored_shape,
            dtype=envs.observation_dtype,
            frame_stack=envs.frame_stack,
        )
        observations = envs.reset(seed=5)
        replay.start(observations)
        history = History(observations)
        for time in range(1_000):
            actions = rng.integers(envs.num_actions, size=NUM_ENVS)
            step = envs.step(actions)
            replay.add(actions, step)
            history.add(actions, step)
            ended += int(step.restarted.sum())
            truncated += int(step.truncated.sum())
            if time % 20 == 19:
                sample = replay.sample(32, rng, beta=0.5)
                for row, number in enumerate(sample.ids):
                    for key, value in history.transition(number, n_steps).items():
                        received = sample.batch[key][row]
                        assert received.dtype == value.dtype or key == "actions"
                        np.testing.assert_array_equal(received, value, err_msg=key)
                    seen += 1
                oldest = (time + 1) * NUM_ENVS - CAPACITY
                assert sample.ids.min() >= oldest
    assert seen == 50 * 32
    assert ended >= 4
    assert truncated > 0 or max_episode_frames == 108_000
