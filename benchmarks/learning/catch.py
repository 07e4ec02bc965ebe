"""Catch: a game of pixels that a network learns in a minute or two.

A pellet of two pixels falls down a black image of 36 by 36, a paddle moves on the
lowest rows. The reward is 1 if the pellet is caught and -1 if it is missed, and one
pellet ends the episode. The best score is 1. `Catch-v0` has six columns, and a random
player scores -0.6 or so; `Catch12-v0` has twelve, and a random player scores -0.8.

    keras-dqn train --env catch:Catch-v0    # with this folder on PYTHONPATH

Reference:
    - [Mnih et al., 2014](https://arxiv.org/abs/1406.6247), section 4.2.1, where the
      game comes from.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

SIDE = 36  # pixels


class Catch(gymnasium.Env):
    """Actions: 0 goes left, 1 stays, 2 goes right, one column at a time.

    Args:
        cells: Integer, columns and rows. Divides 36.
    """

    def __init__(self, cells=6):
        self._cells = cells
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 1), np.uint8)
        self.action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._row = 0
        self._column = int(self.np_random.integers(self._cells))
        self._paddle = int(self.np_random.integers(self._cells))
        return self._image(), {}

    def step(self, action):
        self._paddle = int(np.clip(self._paddle + int(action) - 1, 0, self._cells - 1))
        self._row += 1
        is_over = self._row == self._cells - 1
        is_caught = self._paddle == self._column
        reward = (1.0 if is_caught else -1.0) if is_over else 0.0
        return self._image(), reward, is_over, False, {}

    def _image(self):
        image = np.zeros((SIDE, SIDE, 1), np.uint8)
        cell = SIDE // self._cells  # pixels of a column or a row
        top, left = self._row * cell, self._column * cell
        middle = slice(cell // 2 - 1, cell // 2 + 1)
        image[top:, left:][middle, middle] = 255
        image[-2:, self._paddle * cell : (self._paddle + 1) * cell] = 128
        return image


gymnasium.register("Catch-v0", entry_point=Catch)
gymnasium.register("Catch12-v0", entry_point=Catch, kwargs={"cells": 12})
