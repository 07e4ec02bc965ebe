"""Plays Breakout with a saved network in a game loop of your own.

    python examples/apps/game_loop.py
    python examples/apps/game_loop.py --network runs/a/network.keras --env-steps 20000

Only network and policy come from keras_dqn. The observations are made here: each action
lasts four emulator frames, the maximum of the last two screens is shrunk to 84x84 by
averaging areas, and four of these are stacked.
"""

import argparse
import collections

import ale_py
import gymnasium
import numpy as np

import keras_dqn


def areas(pixels):
    """Weights `(84, pixels)` that average a row of pixels to 84 pixels."""
    edges, pixel = np.arange(85)[:, None] * pixels / 84, np.arange(pixels)
    overlaps = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
    return np.clip(overlaps, 0, None) * 84 / pixels


class Game:  # with the observations that the network was trained on
    def __init__(self, seed=0, most_noops=29):
        gymnasium.register_envs(ale_py)
        options = {"repeat_action_probability": 0.0, "obs_type": "grayscale"}
        self.env = gymnasium.make("ALE/Breakout-v5", frameskip=1, **options)
        self.ale = self.env.unwrapped.ale  # the emulator
        self.rng, self.most_noops = np.random.default_rng(seed), most_noops
        self.rows, self.columns = areas(210), areas(160)

    def reset(self):
        self.env.reset(seed=int(self.rng.integers(2**31)))
        self.score = 0.0
        self.frames = collections.deque([np.zeros((84, 84), "uint8")] * 4, maxlen=4)
        screen = self.env.step(1)[0]  # FIRE
        for _ in range(self.rng.integers(self.most_noops + 1)):
            screen = self.env.step(0)[0]  # NOOP
        return self.see(screen)

    def step(self, action):
        """Returns the next observation and whether the game is over."""
        screens, is_over = [], False
        while len(screens) < 4 and not is_over:
            screen, reward, terminated, truncated, _ = self.env.step(action)
            screens.append(screen)
            self.score += reward
            is_over = terminated or truncated
        return self.see(np.max(screens[-2:], axis=0)), is_over

    def see(self, screen):
        self.frames.append(np.uint8(np.rint(self.rows @ screen @ self.columns.T)))
        return np.stack(self.frames, axis=-1)  # oldest first


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default=keras_dqn.pretrained.path("breakout"))
    parser.add_argument("--env-steps", type=int, default=5_000)
    parser.add_argument("--epsilon", type=float, default=0.01)
    args = parser.parse_args(argv)
    network = keras_dqn.load_network(args.network)
    policy = keras_dqn.Policy(network, epsilon=args.epsilon, seed=0)
    observation = (game := Game()).reset()
    for step in range(1, args.env_steps + 1):
        observation, is_over = game.step(policy(observation))
        if is_over or step == args.env_steps:
            end = "game over" if is_over else "stopped"
            print(f"step {step}: {end}, score {game.score:.0f}", flush=True)
            observation = game.reset()


if __name__ == "__main__":
    main()
