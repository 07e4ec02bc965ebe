"""Steps `n` copies of a Gymnasium environment, one after the other."""

from __future__ import annotations

import contextlib
import inspect
import json
import weakref
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from keras_dqn import interfaces
from keras_dqn.envs.actions import Actions
from keras_dqn.envs.arguments import check_env
from keras_dqn.envs.base import VectorEnvs
from keras_dqn.envs.faults import check_reward
from keras_dqn.envs.faults import failure
from keras_dqn.envs.observations import Encoder
from keras_dqn.envs.step import EnvFault


class GymnasiumEnvs(VectorEnvs):
    """`n` copies of one Gymnasium environment with discrete actions.

    `send` stores the actions; `recv` steps the environments one after the other, in
    the caller's thread. The time limit is that of the registered id.

    Observations of a uint8 `Box` stay uint8. Those of any other `Box`, and of
    `MultiBinary`, become float32; those of `Discrete` become one-hot float32; those of
    `Dict` and `Tuple` become one float32 vector, see `Encoder`. They must be finite,
    have the declared shape, and have the declared dtype or a dtype that can be cast to
    it without loss, except that floats may be rounded.
    A step that is both terminated and truncated counts as terminated.

    Args:
        env: String, a registered id, or a constructor: a class or function that
            returns a new `gymnasium.Env`, or `interfaces.Environment`, each time.
        num_envs: Integer, the number of copies.
        seed: Integer, the default seed of `reset`, or `None`.
        env_kwargs: Dict of keyword arguments for the environment, or `None`.
        flatten_actions: Boolean, whether each combination of a `MultiDiscrete` action
            space is an action of its own. The last number of a combination changes
            fastest.

    Raises:
        ValueError: If the action space is not `Discrete`, if the observation space
            is not one of those above, or if `env` returns the same environment a
            second time.
        TypeError: If `env` is neither a string nor a constructor, or does not return
            an environment.
    """

    def __init__(
        self,
        env: str | Callable[..., gymnasium.Env],
        num_envs: int = 1,
        seed: int | None = None,
        *,
        env_kwargs: dict[str, Any] | None = None,
        flatten_actions: bool = False,
    ) -> None:
        super().__init__(num_envs, seed)
        if env_kwargs is not None and not isinstance(env_kwargs, dict):
            raise TypeError(
                f"`env_kwargs` must be a dict or None. Received: {env_kwargs=}"
            )
        self._flatten_actions = flatten_actions
        with contextlib.ExitStack() as stack:
            self._envs = []
            for _ in range(self.num_envs):
                self._envs.append(_make(env, env_kwargs or {}))
                stack.callback(self._envs[-1].close)
            self.env_id = _env_id(env, self._envs[0])
            self._read_spaces()
            self._closing = stack.pop_all()
        options = {"env_kwargs": env_kwargs, "flatten_actions": flatten_actions}
        self.recipe = (env, options)
        self.options = {
            "env_id": self.env_id,
            "num_envs": self.num_envs,
            "seed": self._seed,
            "env_kwargs": _jsonable(env_kwargs or {}),
            "flatten_actions": flatten_actions,
            "gymnasium": gymnasium.__version__,
        }

    @property
    def render_mode(self) -> str | None:
        """The render mode of the environments, or `None`."""
        return getattr(self._envs[0], "render_mode", None)

    @property
    def metadata(self) -> dict[str, Any]:
        """The `metadata` of the environments: `render_modes`, `render_fps`."""
        return getattr(self._envs[0], "metadata", None) or {}

    def render(self, index: int) -> Any:
        """Returns what one environment renders: an image with `"rgb_array"`.

        Raises:
            EnvFault: If it fails.
        """
        try:
            return self._envs[index].render()
        except Exception as error:
            raise failure(f"Environment {index} ({self.env_id}), render", error) from (
                error
            )

    def _read_spaces(self):
        """Checks the spaces, and sets the attributes that depend on them."""
        action_space, space = _spaces(self._envs[0])
        for other in self._envs[1:]:
            if _spaces(other) != (action_space, space):
                raise ValueError(
                    "`env` must have the same spaces each time it is made. Received: "
                    f"{(action_space, space)} and {_spaces(other)}"
                )
        self._actions = Actions(self.env_id, action_space, self._flatten_actions)
        encoder = Encoder(self.env_id, space)
        self.num_actions = self._actions.count
        self.action_meanings = _action_meanings(self._envs[0])
        self._encode = encoder.encode
        self._shows_images = encoder.shows_images
        self.stored_shape = self.observation_shape = encoder.shape
        self.observation_dtype = encoder.dtype
        self.observation_parts = encoder.parts

    def _reset(self, seeds):
        return np.stack([self._restart(i, int(seed)) for i, seed in enumerate(seeds)])

    def _send(self, actions):
        self._sent = self._actions.decode(actions)

    def _recv(self):
        outcomes = [self._step(i, action) for i, action in enumerate(self._sent)]
        successors, rewards, terminated, truncated = map(
            np.stack, zip(*outcomes, strict=True)
        )
        truncated &= ~terminated
        restarted = terminated | truncated
        observations = successors
        if restarted.any():
            observations = successors.copy()
            for i in np.flatnonzero(restarted):
                observations[i] = self._restart(i, None)
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

    def _close(self):
        self._closing.close()
        self._envs = []

    def _newest_frames(self, observations):
        if not self._shows_images:
            return None
        is_gray = observations.ndim == 4 and observations.shape[-1] == 1
        return observations[..., 0].copy() if is_gray else observations.copy()

    def _restart(self, index, seed):
        """Returns the first observation of a new episode."""
        where = f"Environment {index} ({self.env_id}), reset"
        try:
            outcome = self._envs[index].reset(seed=seed)
        except Exception as error:
            raise failure(where, error) from error
        # The old `gym` returned the observation only. If it has a length of 2, it could
        # be unpacked by mistake.
        if not isinstance(outcome, tuple) or len(outcome) != 2:
            raise _wrong_outcome(where, "reset", "observation, info", outcome)
        return self._encode(where, outcome[0])

    def _step(self, index, action):
        """Returns one environment's next observation, reward and flags, checked."""
        step = self._lengths[index] + 1
        where = f"Environment {index} ({self.env_id}), step {step} of its episode"
        try:
            outcome = self._envs[index].step(action if action.ndim else int(action))
        except Exception as error:
            raise failure(where, error) from error
        try:
            observation, reward, terminated, truncated, _ = outcome
        except (TypeError, ValueError):
            fields = "observation, reward, terminated, truncated, info"
            raise _wrong_outcome(where, "step", fields, outcome) from None
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool | np.bool_):
                raise EnvFault(
                    f"{where}: `{name}` must be a bool. Received: {name}={flag!r}"
                )
        reward = check_reward(where, reward)
        return self._encode(where, observation), reward, terminated, truncated


def _wrong_outcome(where, method, fields, outcome):
    received = type(outcome).__name__
    if isinstance(outcome, tuple):
        received = f"{len(outcome)} values"
    return EnvFault(
        f"{where}: `{method}` must return `({fields})`. Environments of the old `gym` "
        f"need a wrapper of the package `shimmy`. Received: {received}"
    )


# All existing innermost environments that were made here, by `id`.
_MADE: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def _make(env, env_kwargs):
    """Returns a new environment; raises `ValueError` if `env` returned it before."""
    check_env(env)
    if isinstance(env, str):
        # Gymnasium's checker warns. This class checks the same and raises errors.
        made = gymnasium.make(env, disable_env_checker=True, **env_kwargs)
    else:
        made = env(**env_kwargs)
    is_vector = isinstance(made, gymnasium.vector.VectorEnv)
    if is_vector or not isinstance(made, gymnasium.Env | interfaces.Environment):
        raise TypeError(
            "`env` must return one `gymnasium.Env`, or an object with the attributes "
            "`action_space` and `observation_space` and the methods `reset`, `step` "
            "and `close`. Use `num_envs` to make several; environments of the old "
            f"`gym` need a wrapper of `shimmy`. Received: {env=}, which made {made!r}"
        )
    innermost = _unwrapped(made)
    if _MADE.get(id(innermost)) is innermost:
        raise ValueError(
            "`env` must return a new environment each time: write the class or "
            "`lambda: MyEnv()`, not `lambda: my_env`. Evaluations also call `env`. "
            f"Received: {env=}, which returned {made!r} before"
        )
    _MADE[id(innermost)] = innermost
    _check_reset(made)
    return made


def _check_reset(made):
    """Raises `ValueError` if `reset` takes no seed, as in the old `gym`."""
    try:
        inspect.signature(made.reset).bind(seed=0)
    except TypeError as error:
        raise ValueError(
            "`env` must make environments with `def reset(self, *, seed=None, "
            f"options=None)`. Received: {made!r}, whose `reset` {error}"
        ) from None
    except ValueError:  # methods written in C may have no signature
        pass


def _spaces(env):
    names = ("action_space", "observation_space")
    return tuple(getattr(env, name, None) for name in names)


def _env_id(env, made):
    """Returns the registered id, or else the class of the environment."""
    if isinstance(env, str):
        return env
    if getattr(made, "spec", None) is not None:
        return made.spec.id
    return type(_unwrapped(made)).__name__


def _unwrapped(env):
    return getattr(env, "unwrapped", env)


def _action_meanings(env):
    get = getattr(_unwrapped(env), "get_action_meanings", None)
    return None if get is None else tuple(str(name) for name in get())


def _jsonable(env_kwargs):
    """Returns `env_kwargs` as JSON types, with the `repr` of other values."""
    return json.loads(json.dumps(env_kwargs, default=repr, skipkeys=True))
