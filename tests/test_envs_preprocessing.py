"""The frames, rewards and ends of Atari games, computed a second time.

`BareGame` plays one game on the plain emulator, without the vector environment
that `AtariEnvs` adapts, and shrinks the screens in NumPy. All comparisons are bit
for bit: the weights and the order of the float32 sums are those of an area resize.
"""

import functools

import ale_py
import numpy as np
import pytest
from ale_py import roms

from keras_dqn.envs import AtariEnvs
from keras_dqn.envs.base import game_seeds

pytestmark = pytest.mark.numpy

FRAME_SKIP = 4


@functools.cache
def taps(source, target):
    """Which source pixels each target pixel averages, and with what weight."""
    scale = source / target
    table = []
    for left in np.arange(target) * scale:
        right = left + scale
        first, last = int(np.ceil(left - 1e-9)), int(np.floor(right + 1e-9))
        row = [(i, 1 / scale) for i in range(first, last)]
        if first - left > 1e-3:
            row.insert(0, (first - 1, (first - left) / scale))
        if right - last > 1e-3:
            row.append((last, (right - last) / scale))
        table.append(row)
    longest = max(map(len, table))
    padded = [row + [(0, 0.0)] * (longest - len(row)) for row in table]
    indices, weights = np.moveaxis(np.array(padded), 2, 0)
    return indices.astype(int).T, weights.astype(np.float32).T


def shrink(screen):
    """Area resize of a gray screen to 84x84: columns first, then rows."""
    columns = np.float32(0)
    for index, weight in zip(*taps(screen.shape[1], 84), strict=True):
        columns = columns + screen[:, index].astype(np.float32) * weight
    result = np.float32(0)
    for index, weight in zip(*taps(screen.shape[0], 84), strict=True):
        result = result + columns[index] * weight[:, None]
    return np.rint(result).astype(np.uint8)


class BareGame:
    """One game, frame by frame; no no-ops after a reset."""

    def __init__(self, rom, seed, sticky, life_loss, max_episode_frames):
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", sticky)
        self.ale.setInt("random_seed", int(seed))
        self.ale.loadROM(roms.get_rom_path(rom))
        self.actions = self.ale.getMinimalActionSet()
        self.life_loss = life_loss
        self.max_episode_frames = max_episode_frames

    def reset(self):
        self.ale.reset_game()
        if ale_py.Action.FIRE in self.actions:
            self.ale.act(ale_py.Action.FIRE)
        black = np.zeros((84, 84), np.uint8)
        self.stack = [black] * 3 + [shrink(self.ale.getScreenGrayscale())]
        self.frames = 0
        return np.stack(self.stack)

    def step(self, action):
        """Returns successor (without its newest frame at an end), reward, flags."""
        lives, reward, screens = self.ale.lives(), 0, []
        for _ in range(FRAME_SKIP):
            reward += self.ale.act(self.actions[action])
            lost = 0 < self.ale.lives() < lives
            over = self.ale.game_over() or (lost and self.life_loss == "reset")
            if over:
                break
            screens.append(self.ale.getScreenGrayscale())
        self.frames += FRAME_SKIP
        terminated = over or (lost and self.life_loss == "terminal")
        expired = not over and self.frames >= self.max_episode_frames
        self.stack = self.stack[1:]
        if not over:
            self.stack.append(shrink(np.maximum(*screens[-2:])))
        successor = np.stack(self.stack)
        flags = terminated, expired and not terminated, over or expired
        return successor, reward, flags, self.ale.lives()


@pytest.mark.parametrize(
    ("rom", "life_loss", "sticky", "max_episode_frames", "steps"),
    [
        ("breakout", "terminal", 0.0, 108_000, 230),
        ("breakout", "terminal", 0.25, 400, 210),
        ("breakout", "reset", 0.25, 160, 300),
        ("breakout", "ignore", 0.25, 108_000, 300),
        ("ms_pacman", "terminal", 0.25, 1000, 400),
    ],
)
def test_every_step_equals_the_bare_emulator(
    rom, life_loss, sticky, max_episode_frames, steps
):
    num_envs, seed = 2, 11
    options = dict(life_loss=life_loss, max_episode_frames=max_episode_frames)
    games = [
        BareGame(rom, game_seed, sticky, **options)
        for game_seed in game_seeds(seed, num_envs)
    ]
    rng = np.random.default_rng(3)
    seen = {"terminated": 0, "truncated": 0, "restarted": 0, "reward": 0}
    scores, lengths = np.zeros(num_envs), np.zeros(num_envs, int)
    with AtariEnvs(
        rom,
        num_envs,
        noop_max=0,
        repeat_action_probability=sticky,
        clip_rewards=False,
        **options,
    ) as envs:
        np.testing.assert_array_equal(
            envs.reset(seed), np.stack([game.reset() for game in games])
        )
        for _ in range(steps):
            actions = rng.integers(envs.num_actions, size=num_envs)
            step = envs.step(actions)
            records = {episode.env_index: episode for episode in step.episodes}
            for i, game in enumerate(games):
                successor, reward, flags, lives = game.step(actions[i])
                scores[i] += reward
                lengths[i] += 1
                seen["reward"] += reward
                assert step.rewards[i] == reward
                assert step.training_rewards[i] == reward
                got = step.terminated[i], step.truncated[i], step.restarted[i]
                assert got == flags
                final = step.final_observations[i, : len(successor)]
                np.testing.assert_array_equal(final, successor)
                seen["terminated"] += got[0]
                seen["truncated"] += got[1]
                if got[2]:
                    seen["restarted"] += 1
                    episode = records.pop(i)
                    assert (episode.score, episode.length) == (scores[i], lengths[i])
                    assert episode.lives == lives
                    scores[i] = lengths[i] = 0
                    successor = game.reset()
                np.testing.assert_array_equal(step.observations[i], successor)
            assert not records
    # The run must have met what it is there to test.
    assert seen["reward"] > 0
    assert seen["terminated"] > 1
    assert seen["restarted"] > 0
    assert (seen["truncated"] > 0) == (max_episode_frames < 108_000)


def test_shrinking_averages_areas():
    """210 rows make 84 of 2.5 rows each: one of 0, one of 100 and half of 200."""
    screen = np.zeros((210, 160), np.uint8)
    screen[1], screen[2] = 100, 200
    small = shrink(screen)
    assert set(small[0]) == {80}  # (0 + 100 + 200 / 2) / 2.5
    assert set(small[1]) == {40}  # (200 / 2 + 0 + 0) / 2.5
    assert not small[2:].any()
