"""Plays in a `gymnasium.vector.VectorEnv` of any autoreset mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from keras_dqn import checks
from keras_dqn.envs.actions import Actions
from keras_dqn.envs.base import VectorEnvs
from keras_dqn.envs.faults import check_reward
from keras_dqn.envs.faults import failure
from keras_dqn.envs.observations import Encoder
from keras_dqn.envs.step import EnvFault


class GymnasiumVectorEnvs(VectorEnvs):
    """A `gymnasium.vector.VectorEnv` as `VectorEnvs`. It is not closed.

    An environment whose episode has ended begins the next one within the same step.
    With the autoreset mode `SAME_STEP` Gymnasium does so; with the others, this class
    calls `reset` with a `reset_mask`, which `SyncVectorEnv`, `AsyncVectorEnv` and
    `AtariVectorEnv` know.

    Args:
        env: `gymnasium.vector.VectorEnv` with spaces as in `GymnasiumEnvs`.
        seed: Integer, the default seed of `reset`, or `None`.
        flatten_actions: Boolean, see `Actions`.

    Raises:
        TypeError: If `env` is of another kind.
        ValueError: If its spaces or its autoreset mode are not supported.
    """

    def __init__(
        self,
        env: gymnasium.vector.VectorEnv,
        seed: int | None = None,
        *,
        flatten_actions: bool = False,
    ) -> None:
        if not isinstance(env, gymnasium.vector.VectorEnv):
            rule, instead = "a `gymnasium.vector.VectorEnv`", "gymnasium.make_vec(...)"
            raise checks.wrong_kind("env", rule, env, instead)
        super().__init__(env.num_envs, seed)
        self._env = env
        spec = env.spec
        self.env_id = type(env.unwrapped).__name__ if spec is None else spec.id
        self._mode = _autoreset_mode(self.env_id, env)
        self._actions = Actions(self.env_id, env.single_action_space, flatten_actions)
        encoder = Encoder(self.env_id, env.single_observation_space)
        self.num_actions = self._actions.count
        self._encode_one = encoder.encode
        self._shows_images = encoder.shows_images
        self.stored_shape = self.observation_shape = encoder.shape
        self.observation_dtype = encoder.dtype
        self.observation_parts = encoder.parts
        self.recipe = (_constructor(env), {"flatten_actions": flatten_actions})
        self.options = {
            "env_id": self.env_id,
            "num_envs": self.num_envs,
            "seed": self._seed,
            "autoreset_mode": self._mode.value,
            "gymnasium": gymnasium.__version__,
        }

    def _reset(self, seeds):
        each = [int(seed) for seed in seeds]
        # Vector environments that are no sets of single ones take one seed.
        seed = each if hasattr(self._env, "env_fns") else each[0]
        return self._encode("reset", self._run("reset", self._env.reset, seed=seed)[0])

    def _send(self, actions):
        self._sent = self._actions.decode(actions)

    def _recv(self):
        observations, rewards, terminated, truncated, info = self._run(
            "step", self._env.step, self._sent
        )
        # Copies: some environments write the next step into the same arrays.
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        truncated &= ~terminated
        restarted = terminated | truncated
        successors = self._encode("step", observations)
        observations = successors
        if restarted.any():
            if self._mode == AutoresetMode.SAME_STEP:
                observations = successors.copy()
                finals = info["final_obs"]
                for i in np.flatnonzero(restarted):
                    successors[i] = self._encode_one(f"Environment {i}", finals[i])
            else:
                observations = self._restart(restarted, successors)
        rewards = np.array([check_reward(self.env_id, each) for each in rewards])
        return self._finish(
            observations=observations,
            rewards=rewards,
            training_rewards=rewards.copy(),
            terminated=terminated,
            truncated=truncated,
            restarted=restarted,
            final_observations=successors,
            lives=np.full(self.num_envs, -1),
            out_of_time=truncated,
        )

    def _restart(self, restarted, before):
        """Starts a new episode where `restarted`. Returns all observations."""
        options = {"reset_mask": restarted.copy()}
        started, _ = self._run("reset", self._env.reset, options=options)
        observations = self._encode("reset", started)
        if (observations[~restarted] != before[~restarted]).any():
            raise EnvFault(
                f"{self.env_id}: `reset` must restart the environments of its option "
                "`reset_mask` and no others. Use the autoreset mode `SAME_STEP`, or "
                "gymnasium.make_vec(..., vectorization_mode='sync')"
            )
        return observations

    def _close(self):
        """Leaves the environment open: it belongs to the caller."""

    def _newest_frames(self, observations):
        if not self._shows_images:
            return None
        is_gray = observations.ndim == 4 and observations.shape[-1] == 1
        return observations[..., 0].copy() if is_gray else observations.copy()

    def _each(self, observations):
        """Yields the observation of each environment."""
        space = self._env.observation_space
        return gymnasium.vector.utils.iterate(space, observations)

    def _encode(self, method, observations):
        return np.stack(
            [
                self._encode_one(f"Environment {i} ({self.env_id}), {method}", each)
                for i, each in enumerate(self._each(observations))
            ]
        )

    def _run(self, method, function, *arguments, **options):
        try:
            return function(*arguments, **options)
        except Exception as error:
            raise failure(f"{self.env_id}, {method}", error) from error


def _autoreset_mode(env_id, env):
    found = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(found)
    except ValueError:
        raise ValueError(
            "`env` must say its autoreset mode, a `gymnasium.vector.AutoresetMode`, in "
            f"`metadata['autoreset_mode']`. Received: {env_id} with {found!r}"
        ) from None


def _constructor(env: gymnasium.vector.VectorEnv) -> Callable[[], gymnasium.Env]:
    """Returns a function that makes one environment of the same kind."""

    def make() -> Any:
        is_wrapped = isinstance(env, gymnasium.vector.VectorWrapper)
        functions = None if is_wrapped else getattr(env, "env_fns", None)
        if functions is None and not is_wrapped and env.spec is not None:
            return gymnasium.make(env.spec.id, **env.spec.kwargs)
        if functions is None:
            raise ValueError(
                "`env` must be given: no single environment can be made of a "
                f"{type(env).__name__}. Write, for example: "
                "agent.evaluate('CartPole-v1')"
            )
        return functions[0]()

    return make
