"""Trains on an environment of your own: a bar catches ten falling balls.

python examples/your_own_env.py    # a minute on two cores
PYTHONPATH=examples keras-dqn train --preset cartpole --env your_own_env:Catch-v0
"""

import gymnasium
import numpy as np

import keras_dqn


class Catch(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0.0, 1.0, (8, 5), np.float32)  # pixels
    action_space = gymnasium.spaces.Discrete(3)  # left, stay, right

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.bar, self.ball = 0, 2, self.np_random.integers(5)
        return self.pixels(), {}

    def step(self, action):
        self.time, self.bar = self.time + 1, np.clip(self.bar + action - 1, 0, 4)
        is_caught = self.time % 8 == 7 and self.bar == self.ball
        if self.time % 8 == 0:  # the next ball
            self.ball = self.np_random.integers(5)
        return self.pixels(), float(is_caught), self.time == 79, False, {}

    def pixels(self):
        screen = np.zeros((8, 5), np.float32)
        screen[self.time % 8, self.ball] = screen[7, self.bar] = 1.0
        return screen


gymnasium.register("Catch-v0", entry_point=Catch)
if __name__ == "__main__":
    agent = keras_dqn.DQNAgent(keras_dqn.models.dueling_mlp(3, (8, 5)))
    agent.compile("adam")
    agent.fit(Catch, settings=keras_dqn.presets.cartpole(env_steps=20_000))
    print(agent.evaluate("Catch-v0", episodes=10, epsilon=0.0))
