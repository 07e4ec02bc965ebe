"""Any Gymnasium environment with discrete actions, `n` of them in a loop."""

from __future__ import annotations

import contextlib
import json
import numbers
import weakref

import gymnasium
import numpy as np
from gymnasium import spaces

from keras_dqn.envs.arguments import check_env
from keras_dqn.envs.step import EnvFault
from keras_dqn.envs.step import VectorEnvs


class GymnasiumEnvs(VectorEnvs):
    """`n` copies of one Gymnasium environment.

    `send` keeps the actions; `recv` steps the environments, in this thread, one
    after the other. Time limits are those of the registered id.

    Observations: `Box` spaces of uint8 stay uint8, all other `Box` spaces become
    float32; `Discrete` becomes one-hot float32, `MultiBinary` float32. What the
    environment returns must have the declared shape and dtype, and be finite.
    An environment that says both terminated and truncated is terminated.

    Args:
        env: String, a registered id, or a constructor: a class or function that
            returns a new `gymnasium.Env` each time.
        num_envs: Integer, copies of the environment.
        seed: Integer, the default of `reset`, or `None`.
        env_kwargs: Dict of keyword arguments for the environment, or `None`.

    Raises:
        ValueError: If the actions are not `Discrete`, or the observations not
            `Box`, `Discrete` or `MultiBinary`, or if `env` returns an environment
            that it returned before.
        TypeError: If `env` is neither, or does not return a `gymnasium.Env`.
    """

    def __init__(self, env, num_envs=1, seed=None, *, env_kwargs=None):
        super().__init__(num_envs, seed)
        if env_kwargs is not None and not isinstance(env_kwargs, dict):
            raise TypeError(
                f"`env_kwargs` must be a dict or None. Received: {env_kwargs=}"
            )
        with contextlib.ExitStack() as stack:
            self._envs = []
            for _ in range(self.num_envs):
                self._envs.append(_make(env, env_kwargs or {}))
                stack.callback(self._envs[-1].close)
            self.env_id = _env_id(env, self._envs[0])
            self._read_spaces()
            self._closing = stack.pop_all()
        self.recipe = (env, {"env_kwargs": env_kwargs})
        self.options = {
            "env_id": self.env_id,
            "num_envs": self.num_envs,
            "seed": self._seed,
            "env_kwargs": _jsonable(env_kwargs or {}),
            "gymnasium": gymnasium.__version__,
        }

    def _read_spaces(self):
        """Refuses what a DQN cannot act in, and sets shapes and dtypes."""
        first = self._envs[0]
        action_space, space = first.action_space, first.observation_space
        for other in self._envs[1:]:
            if (other.action_space, other.observation_space) != (action_space, space):
                raise ValueError(
                    "`env` must have the same spaces each time it is made. Received: "
                    f"{(action_space, space)} and "
                    f"{(other.action_space, other.observation_space)}"
                )
        if not isinstance(action_space, spaces.Discrete):
            raise ValueError(
                f"`env` must have a `Discrete` action space. Received: {self.env_id} "
                f"with action_space={action_space}"
            )
        if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiBinary):
            raise ValueError(
                "`env` must have a `Box`, `Discrete` or `MultiBinary` observation "
                f"space. Received: {self.env_id} with observation_space={space}"
            )
        if action_space.n < 1:
            raise ValueError(
                "`env` must have at least one action. Received: "
                f"{self.env_id} with action_space={action_space}"
            )
        self.num_actions = int(action_space.n)
        self._first_action = int(action_space.start)
        self.action_meanings = _action_meanings(first)
        self._space = space
        is_discrete = isinstance(space, spaces.Discrete)
        shape = (space.n,) if is_discrete else space.shape
        self.stored_shape = tuple(int(side) for side in shape)
        self.observation_shape = self.stored_shape
        keeps = isinstance(space, spaces.Box) and space.dtype == np.uint8
        self.observation_dtype = np.dtype("uint8" if keeps else "float32")
        self._shows_images = keeps and (
            len(space.shape) == 2
            or (len(space.shape) == 3 and space.shape[2] in (1, 3))
        )

    def _reset(self, seeds):
        return np.stack([self._restart(i, int(seed)) for i, seed in enumerate(seeds)])

    def _send(self, actions):
        self._actions = actions + self._first_action

    def _recv(self):
        outcomes = [self._step(i, action) for i, action in enumerate(self._actions)]
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
            observation, _ = self._envs[index].reset(seed=seed)
        except Exception as error:
            raise _failure(where, error) from error
        return self._encode(where, observation)

    def _step(self, index, action):
        """Returns one environment's successor, reward and flags, all checked."""
        step = self._lengths[index] + 1
        where = f"Environment {index} ({self.env_id}), step {step} of its episode"
        try:
            outcome = self._envs[index].step(int(action))
            observation, reward, terminated, truncated, _ = outcome
        except Exception as error:
            raise _failure(where, error) from error
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool | np.bool_):
                raise EnvFault(
                    f"{where}: `{name}` must be a bool. Received: {name}={flag!r}"
                )
        reward = _check_reward(where, reward)
        return self._encode(where, observation), reward, terminated, truncated

    def _encode(self, where, observation):
        """Returns the observation as stored, checked against what was declared."""
        space = self._space
        array = np.asarray(observation)
        if isinstance(space, spaces.Discrete):
            if array.shape != () or array.dtype.kind not in "iu":
                _refuse_observation(where, observation, f"an integer in {space}")
            position = int(array) - int(space.start)
            if not 0 <= position < space.n:
                _refuse_observation(where, observation, f"an integer in {space}")
            one_hot = np.zeros(self.stored_shape, np.float32)
            one_hot[position] = 1.0
            return one_hot
        if array.shape != space.shape or array.dtype != space.dtype:
            rule = f"of shape {space.shape} and dtype {space.dtype}, as declared"
            _refuse_observation(where, observation, rule)
        with np.errstate(over="ignore"):
            array = array.astype(self.observation_dtype)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise EnvFault(
                f"{where}: the observation must be finite in float32. "
                f"Received: {observation!r}"
            )
        return array


def _failure(where, error):
    return EnvFault(f"{where}: {type(error).__name__}: {error}")


def _check_reward(where, reward):
    """Returns the reward as a float32, or refuses it."""
    is_scalar = isinstance(reward, np.ndarray) and reward.shape == ()
    number = reward[()] if is_scalar else reward
    if not isinstance(number, numbers.Real | np.bool_):
        raise EnvFault(f"{where}: `reward` must be a number. Received: {reward=}")
    with np.errstate(over="ignore"):
        value = np.float32(number)
    if not np.isfinite(value):
        raise EnvFault(
            f"{where}: `reward` must be finite in float32. Received: {reward=}"
        )
    return value


def _refuse_observation(where, observation, rule):
    array = np.asarray(observation)
    received = f"shape={array.shape}, dtype={array.dtype}"
    if array.shape == ():
        received = repr(observation)
    raise EnvFault(f"{where}: the observation must be {rule}. Received: {received}")


# The innermost environments that were made so far, by `id`, as long as they exist.
_MADE: weakref.WeakValueDictionary[int, gymnasium.Env] = weakref.WeakValueDictionary()


def _make(env, env_kwargs):
    """Returns a new environment; refuses one that was returned before."""
    check_env(env)
    if isinstance(env, str):
        # What its checker warns of, this class refuses.
        made = gymnasium.make(env, disable_env_checker=True, **env_kwargs)
    else:
        made = env(**env_kwargs)
    if not isinstance(made, gymnasium.Env):
        raise TypeError(
            "`env` must return a `gymnasium.Env`, one environment (`num_envs` makes "
            "several; those of the older `gym` need a wrapper, see the package "
            f"`shimmy`). Received: {env=}, which returned {made!r}"
        )
    innermost = made.unwrapped
    if _MADE.get(id(innermost)) is innermost:
        raise ValueError(
            "`env` must return a new environment each time, as a class does, or "
            "`lambda: MyEnv()`, but not `lambda: my_env`. An evaluation makes its own, "
            f"too. Received: {env=}, which returned {made!r} before"
        )
    _MADE[id(innermost)] = innermost
    return made


def _env_id(env, made):
    """Returns the registered id, or else the class of the environment."""
    if isinstance(env, str):
        return env
    if made.spec is not None:
        return made.spec.id
    return type(made.unwrapped).__name__


def _action_meanings(env):
    get = getattr(env.unwrapped, "get_action_meanings", None)
    return None if get is None else tuple(str(name) for name in get())


def _jsonable(env_kwargs):
    """Returns `env_kwargs` with what JSON cannot hold as its `repr`."""
    return json.loads(json.dumps(env_kwargs, default=repr, skipkeys=True))
