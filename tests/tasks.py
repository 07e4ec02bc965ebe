"""Tasks of other packages, as their users make them: MiniGrid, MinAtar, Gymnasium."""

import gymnasium
import minatar.gym
import minigrid  # noqa: F401  registers its environments
from minigrid import wrappers

minatar.gym.register_envs()

GRID = "MiniGrid-Empty-Random-5x5-v0"


def grid_images():
    """The 7 by 7 cells before the player, uint8 `(7, 7, 3)`, without the mission."""
    return wrappers.ImgObsWrapper(gymnasium.make(GRID))


def grid_vectors():
    """The cells and the letters of the mission, uint8 `(2835,)`."""
    return wrappers.FlatObsWrapper(gymnasium.make(GRID))


def grid_parts():
    """The cells and the direction as one vector, float32 `(151,)`."""
    return gymnasium.wrappers.FilterObservation(
        gymnasium.make(GRID), ["direction", "image"]
    )
