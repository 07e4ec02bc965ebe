"""Color screens of the games, for videos."""

from __future__ import annotations

import abc
from typing import Any
from typing import Self

import numpy as np

from keras_dqn.envs import make_evaluation_envs
from keras_dqn.envs.atari import AtariEnvs
from keras_dqn.envs.atari import make_emulator
from keras_dqn.envs.base import VectorEnvs
from keras_dqn.envs.base import game_seeds
from keras_dqn.envs.gymnasium import GymnasiumEnvs
from keras_dqn.envs.names import find_game
from keras_dqn.envs.step import EnvFault
from keras_dqn.envs.step import Step

_HEIGHT, _WIDTH = 210, 160  # pixels of an Atari screen
_EMULATOR_HERTZ = 60.0
_USUAL_HERTZ = 30.0  # where an environment does not say


def make_filmed_envs(env: Any, **options: Any) -> VectorEnvs:
    """Makes one environment for whole games, which `make_screens` takes.

    Args:
        env: See `make_envs`.
        **options: See `make_evaluation_envs`.

    Raises:
        TypeError, ValueError: See `make_evaluation_envs`.
    """
    envs = make_evaluation_envs(env, 1, **options)
    if not isinstance(envs, GymnasiumEnvs) or "rgb_array" not in envs.metadata.get(
        "render_modes", ()
    ):
        return envs
    with envs:
        given = options.get("env_kwargs") or {}
    rendering = {**given, "render_mode": "rgb_array"}
    return make_evaluation_envs(env, 1, **{**options, "env_kwargs": rendering})


def make_screens(envs: VectorEnvs) -> Screens:
    """Returns the `Screens` of one environment.

    Args:
        envs: Vector environments of `make_filmed_envs`.

    Raises:
        ValueError: If there is more than one environment, or if it shows nothing.
    """
    if envs.num_envs != 1:
        raise ValueError(
            f"`envs` must be one environment. Received: num_envs={envs.num_envs}"
        )
    if isinstance(envs, AtariEnvs):
        return AtariScreens(envs)
    if isinstance(envs, GymnasiumEnvs):
        return GymnasiumScreens(envs)
    raise TypeError(f"`envs` must come from `make_envs`. Received: envs={envs!r}")


class Screens(abc.ABC):
    """The screen of one environment, uint8 RGB, `(height, width, 3)`.

    `reset` and `step` are called after those of the environment.

    Attributes:
        frames_per_second: Float, agent steps in a second of play.
    """

    frames_per_second: float

    @abc.abstractmethod
    def reset(self, seed: int, observations: np.ndarray) -> np.ndarray:
        """Returns the first screen of a game.

        Args:
            seed: Integer, the argument of `envs.reset`.
            observations: What `envs.reset` returned.
        """

    @abc.abstractmethod
    def step(self, actions: np.ndarray, step: Step) -> np.ndarray:
        """Returns the screen after a step of the environment.

        Args:
            actions: Integer array, `(1,)`.
            step: What the environment returned for them.

        Raises:
            EnvFault: If the screen cannot be that of the environment.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Releases what was made. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AtariScreens(Screens):
    """A second emulator that plays the same game, in color and full size.

    Same seed and same actions give the same game, sticky actions included. Rewards are
    compared at each step. Like an observation, a screen is the maximum of the last two
    emulator frames.

    Args:
        envs: `AtariEnvs` with one environment.
    """

    def __init__(self, envs: AtariEnvs) -> None:
        self.frames_per_second = _EMULATOR_HERTZ / envs.options["frame_skip"]
        rom = find_game(envs.env_id)[0].rom
        self._emulator: Any = make_emulator(
            rom,
            envs.options,
            img_height=_HEIGHT,
            img_width=_WIDTH,
            grayscale=False,
            stack_num=1,
        )

    def reset(self, seed: int, observations: np.ndarray) -> np.ndarray:
        screens, _ = self._emulator.reset(seed=game_seeds(seed, 1))
        return screens[0, 0].copy()

    def step(self, actions: np.ndarray, step: Step) -> np.ndarray:
        screens, rewards, _, _, info = self._emulator.step(np.asarray(actions))
        if rewards[0] != step.rewards[0]:
            raise EnvFault(
                "The emulator that draws the screens has left the game: its reward is "
                f"{rewards[0]}, that of the game {step.rewards[0]}"
            )
        is_over = bool(step.terminated[0] and step.restarted[0])
        return (info["final_obs"] if is_over else screens)[0, 0].copy()

    def close(self) -> None:
        self._emulator = None  # the threads end with the C++ object


class GymnasiumScreens(Screens):
    """What `render` returns, or else the observations, if they are images.

    A rendered episode ends with the screen before its last step: afterwards the
    environment has begun the next episode.

    Args:
        envs: `GymnasiumEnvs` with one environment.

    Raises:
        ValueError: If it can do neither.
    """

    def __init__(self, envs: GymnasiumEnvs) -> None:
        self._envs = envs
        self.frames_per_second = float(envs.metadata.get("render_fps", _USUAL_HERTZ))
        self._renders = envs.render_mode == "rgb_array"
        shape, dtype = envs.observation_shape, envs.observation_dtype
        is_image = len(shape) == 3 and shape[-1] in (1, 3) and dtype == np.uint8
        if not (self._renders or is_image):
            raise ValueError(
                f"{envs.env_id} cannot be filmed: it has no render mode 'rgb_array', "
                "and its observations are no images"
            )

    def reset(self, seed: int, observations: np.ndarray) -> np.ndarray:
        self._last = self._screen(observations)
        return self._last

    def step(self, actions: np.ndarray, step: Step) -> np.ndarray:
        if not (self._renders and step.restarted[0]):
            self._last = self._screen(step.final_observations)
        return self._last

    def close(self) -> None:
        """Does nothing: the environment is the caller's."""

    def _screen(self, observations):
        if self._renders:
            return np.array(self._envs.render(0), np.uint8)
        image = observations[0]
        return np.repeat(image, 3 // image.shape[-1], axis=-1)
