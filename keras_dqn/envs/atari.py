"""Atari games in ALE's vector environment, which runs and preprocesses them in C++.

Each agent step repeats one action for `frame_skip` emulator frames. ALE takes the
maximum of the last two gray screens, pixel by pixel, and shrinks it from 210x160 to
84x84 by averaging areas. An observation is a stack of the last four such frames.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import gymnasium
import numpy as np

from keras_dqn import checks
from keras_dqn.envs.base import VectorEnvs
from keras_dqn.envs.names import find_game
from keras_dqn.system.cpus import usable_cpus

LIFE_LOSS = ("reset", "terminal", "ignore")

_FRAME_STACK = 4
_FRAME_SIDE = 84
# ALE counts frames in a C int. Its own time limit is never reached (see `_recv`).
_MOST_FRAMES = 2**30

_CHECKS: dict[str, Any] = {
    "repeat_action_probability": checks.probability,
    "life_loss": functools.partial(checks.choice, choices=LIFE_LOSS),
    "noop_max": functools.partial(checks.integer, minimum=0, maximum=_MOST_FRAMES),
    "clip_rewards": checks.boolean,
    "frame_skip": functools.partial(checks.integer, minimum=1, maximum=_MOST_FRAMES),
    "max_episode_frames": functools.partial(
        checks.integer, minimum=1, maximum=_MOST_FRAMES // 2
    ),
    "full_action_space": checks.boolean,
    "fire_reset": checks.boolean,
    "num_threads": functools.partial(checks.integer, minimum=0),
}


class AtariEnvs(VectorEnvs):
    """`n` copies of one Atari game.

    At a reset ALE presses FIRE once if the game has that action (`fire_reset`), then
    takes a random number of no-ops. The first observation is three black frames and
    the first screen. After a lost life that does not reset the game, the agent must
    press FIRE itself.

    When a game is over, ALE does not update the newest frame of the final
    observation. No target bootstraps from it. After a time limit the final
    observation is exact.

    With `repeat_action_probability=0` a game is deterministic: the seed only
    determines the number of no-ops.

    For differences from the reference implementation see `docs/deviations.md`.

    Args:
        env: String, the game; see `parse_atari_name`.
        num_envs: Integer, the number of copies.
        seed: Integer, the default seed of `reset`, or `None`.
        repeat_action_probability: Float in [0, 1], the probability in each emulator
            frame that the previous action is repeated instead ("sticky actions").
            `None` follows the id: 0.25 for `-v5` and `-v0`, else 0.
        life_loss: String, what a lost life means. `"terminal"`: targets do not
            bootstrap, and the game goes on. `"reset"`: the episode ends, and the
            game starts again with all lives; a score is that of a single life and
            not comparable with published scores. `"ignore"`: nothing.
        noop_max: Integer. The number of no-ops after a reset is drawn uniformly
            from `0 ... noop_max - 1`. FIRE replaces one of them.
        clip_rewards: Bool, whether `training_rewards` are the signs of the
            rewards. Scores are always sums of raw rewards.
        frame_skip: Integer, emulator frames per agent step.
        max_episode_frames: Integer, the time limit of an episode in emulator frames,
            rounded up to whole agent steps. No-ops after a reset do not count.
        full_action_space: Bool, whether all 18 actions are available. If not, only
            those that have an effect in this game are.
        fire_reset: Bool, whether FIRE is pressed at a reset.
        num_threads: Integer, the number of C++ threads, at most one per game. 0 is
            one per usable CPU. The frames do not depend on it.

    Raises:
        ImportError: If ALE is not installed.
        ValueError: If the game is unknown, its ROM is missing or damaged, or the
            value of an option is invalid.

    Reference:
        - [Machado et al., 2017](https://arxiv.org/abs/1709.06009), for sticky
          actions and the meaning of a lost life.
        - [Mnih et al., 2015](https://doi.org/10.1038/nature14236), section
          "Preprocessing".
    """

    frame_stack = _FRAME_STACK
    stored_shape = (_FRAME_STACK, _FRAME_SIDE, _FRAME_SIDE)
    observation_shape = (_FRAME_SIDE, _FRAME_SIDE, _FRAME_STACK)
    observation_dtype = np.dtype("uint8")

    def __init__(
        self,
        env: str,
        num_envs: int = 1,
        seed: int | None = None,
        *,
        repeat_action_probability: float | None = None,
        life_loss: str = "terminal",
        noop_max: int = 30,
        clip_rewards: bool = True,
        frame_skip: int = 4,
        max_episode_frames: int = 108_000,
        full_action_space: bool = False,
        fire_reset: bool = True,
        num_threads: int = 0,
    ) -> None:
        super().__init__(num_envs, seed)
        name, rom_path, ale_version = find_game(env)
        if repeat_action_probability is None:
            repeat_action_probability = name.repeat_action_probability
        given = {
            "repeat_action_probability": repeat_action_probability,
            "life_loss": life_loss,
            "noop_max": noop_max,
            "clip_rewards": clip_rewards,
            "frame_skip": frame_skip,
            "max_episode_frames": max_episode_frames,
            "full_action_space": full_action_space,
            "fire_reset": fire_reset,
            "num_threads": num_threads,
        }
        checked = {key: _CHECKS[key](key, value) for key, value in given.items()}
        threads = min(checked["num_threads"] or usable_cpus(), self.num_envs)
        self.env_id = name.canonical
        self.recipe = (self.env_id, checked)
        self.options = {
            "env_id": self.env_id,
            "num_envs": self.num_envs,
            "seed": self._seed,
            **checked,
            "num_threads": threads,
            "ale_py": ale_version,
            "rom_md5": _md5(rom_path),
        }
        self._rom = name.rom
        self._emulator = make_emulator(self._rom, self.options)
        self._is_in_flight = False
        action_set = self._emulator.ale.get_action_set()
        self.action_meanings = tuple(action.name for action in action_set)
        self.num_actions = len(self.action_meanings)

    def _reset(self, seeds):
        if self._is_in_flight:
            # Ctrl-C interrupted a step. Its results may have been received or not,
            # and waiting for them could take forever.
            self._emulator = make_emulator(self._rom, self.options)
            self._is_in_flight = False
        observations, info = self._emulator.reset(seed=seeds)
        self._lives = info["lives"]
        self._has_lives = self._lives > 0
        self._episode_starts = _episode_starts(info)
        return observations

    def _send(self, actions):
        self._is_in_flight = True
        self._emulator.send(actions)

    def _recv(self):
        observations, rewards, terminated, _, info = self._emulator.recv()
        starts = _episode_starts(info)
        ended = starts != self._episode_starts
        final_observations = observations
        if ended.any():
            # ALE fills `final_obs` only for the games that it restarted.
            final_observations = observations.copy()
            final_observations[ended] = info["final_obs"][ended]
        lives = self._lives_left(info["lives"], ended)
        expired = ~ended & self._is_out_of_time()
        if expired.any():
            # ALE's own time limit can end an episode in the middle of an agent step,
            # and returns an older frame then. So frames are counted here.
            observations, info = self._emulator.reset(options={"reset_mask": expired})
            starts = _episode_starts(info)
        self._lives, self._episode_starts = info["lives"], starts
        self._is_in_flight = False
        rewards = rewards.astype(np.float32)
        clip = self.options["clip_rewards"]
        return self._finish(
            observations=observations,
            rewards=rewards,
            training_rewards=np.sign(rewards) if clip else rewards.copy(),
            terminated=terminated,
            truncated=expired & ~terminated,
            restarted=ended | expired,
            final_observations=final_observations,
            lives=lives,
            out_of_time=expired,
        )

    def _close(self):
        self._emulator = None  # the threads end with the C++ object

    def _newest_frames(self, observations):
        return observations[:, -1].copy()

    def _is_out_of_time(self):
        frames = (self._lengths + 1) * self.options["frame_skip"]
        return frames >= self.options["max_episode_frames"]

    def _lives_left(self, lives, ended):
        """Returns the lives after the step and before a restart, -1 without lives.

        Where ALE restarted the game, `lives` are those of the new game.
        """
        left = 0
        if self.options["life_loss"] == "reset":
            left = np.maximum(self._lives - 1, 0)
        return np.where(self._has_lives, np.where(ended, left, lives), -1)


def _episode_starts(info):
    """Returns the emulator frame at which each running game began, `(n,)`.

    It changes if and only if the game restarted. ALE has no other sign of a restart:
    `terminated` is also true for a lost life.
    """
    return info["frame_number"] - info["episode_frame_number"]


def _md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def make_emulator(rom: str, options: dict[str, Any], **changes: Any) -> Any:
    """Returns ALE's vector environment.

    Args:
        rom: String, ALE's name of the ROM.
        options: See `AtariEnvs.options`.
        **changes: Arguments of ALE that differ from those of the observations.
    """
    from ale_py.vector_env import AtariVectorEnv

    arguments = {
        "num_threads": options["num_threads"],
        "max_num_frames_per_episode": _MOST_FRAMES,
        "repeat_action_probability": options["repeat_action_probability"],
        "full_action_space": options["full_action_space"],
        "autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP,
        "img_height": _FRAME_SIDE,
        "img_width": _FRAME_SIDE,
        "stack_num": _FRAME_STACK,
        "frameskip": options["frame_skip"],
        "noop_max": options["noop_max"],
        "episodic_life": options["life_loss"] == "reset",
        "life_loss_info": options["life_loss"] == "terminal",
        "reward_clipping": False,  # scores stay raw
        "use_fire_reset": options["fire_reset"],
    }
    return AtariVectorEnv(rom, options["num_envs"], **{**arguments, **changes})
