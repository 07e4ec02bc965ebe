"""Vector environments: `n` Atari games or Gymnasium environments side by side."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import gymnasium as _gymnasium

from keras_dqn import checks as _checks
from keras_dqn.envs.atari import AtariEnvs
from keras_dqn.envs.base import VectorEnvs
from keras_dqn.envs.gymnasium import GymnasiumEnvs
from keras_dqn.envs.names import is_made_by_ale as _is_made_by_ale
from keras_dqn.envs.step import EnvFault
from keras_dqn.envs.step import Episode
from keras_dqn.envs.step import Step
from keras_dqn.envs.vector import GymnasiumVectorEnvs

# What `as_envs` takes.
AnyEnv: TypeAlias = (
    VectorEnvs
    | str
    | Callable[..., _gymnasium.Env]
    | _gymnasium.Env
    | _gymnasium.vector.VectorEnv
)
__all__ = [
    "AnyEnv",
    "AtariEnvs",
    "EnvFault",
    "Episode",
    "GymnasiumEnvs",
    "GymnasiumVectorEnvs",
    "Step",
    "VectorEnvs",
    "as_envs",
    "is_atari",
    "make_envs",
    "make_evaluation_envs",
]


def make_envs(
    env: str | Callable[..., _gymnasium.Env],
    num_envs: int = 1,
    seed: int | None = None,
    **options: Any,
) -> VectorEnvs:
    """Makes `num_envs` copies of an Atari game or of a Gymnasium environment.

    Args:
        env: String or callable. `"Breakout"` (or any other id of an Atari game)
            makes `AtariEnvs`; `"CartPole-v1"` (or any other registered Gymnasium
            id), or a constructor of a `gymnasium.Env`, makes `GymnasiumEnvs`.
        num_envs: Integer, at least 1, the number of environments.
        seed: Integer, at least 0, the default seed of `reset`, or `None`.
        **options: Further options by name: see `AtariEnvs` and `GymnasiumEnvs`.

    Returns:
        A `VectorEnvs`. It is a context manager that closes the environments.

    Raises:
        TypeError: If an option is unknown.
        ValueError: If the environment is unknown or not supported, if the value of
            an option is invalid, or if an option is only for the other kind of
            environment.

    Example:

    >>> with make_envs("Breakout", num_envs=8, seed=0) as envs:
    ...     observations = envs.reset()
    ...     step = envs.step([0] * 8)
    """
    chosen: Any = AtariEnvs
    other: Any = GymnasiumEnvs
    if not is_atari(env):
        chosen, other = other, chosen
    for name, value in options.items():
        received = f"Received: {env=}, {name}={value!r}"
        _check_option(name, _keywords(chosen), _keywords(other), received)
    return chosen(env, num_envs, seed, **options)


def make_evaluation_envs(
    env: str | Callable[..., _gymnasium.Env] | VectorEnvs,
    num_envs: int = 1,
    seed: int | None = None,
    **options: Any,
) -> VectorEnvs:
    """Makes environments for an evaluation, which plays whole games.

    The default of `life_loss` is `"ignore"` here.

    Args:
        env: As in `make_envs`, or a `VectorEnvs`: then new environments of the same
            kind are made, with the same options except `life_loss`.
        num_envs: Integer, at least 1, the number of environments.
        seed: Integer, at least 0, the default seed of `reset`, or `None`.
        **options: As in `make_envs`. They override the options of `env`.

    Returns:
        A `VectorEnvs`.

    Raises:
        TypeError, ValueError: As `make_envs`.
    """
    game, defaults = env.recipe if isinstance(env, VectorEnvs) else (env, {})
    if is_atari(game):
        defaults = {**defaults, "life_loss": "ignore"}
    return make_envs(game, num_envs, seed, **{**defaults, **options})


def as_envs(
    env: AnyEnv, num_envs: int = 8, **options: Any
) -> contextlib.AbstractContextManager[VectorEnvs]:
    """Returns a context manager of vector environments for whatever `env` is.

    At its end, environments that were made here are closed, and no others.

    Args:
        env: One of these:
            - `VectorEnvs`: used as they are;
            - an id or a constructor, see `make_envs`;
            - a `gymnasium.Env`: copies of it are made, with its wrappers; it is not
              stepped itself;
            - a `gymnasium.vector.VectorEnv`, see `GymnasiumVectorEnvs`.
        num_envs: Integer, at least 1, the number of environments that are made.
        **options: Further options of `make_envs`.

    Raises:
        TypeError, ValueError: As `make_envs`, or if `env` cannot be copied.
    """
    if isinstance(env, VectorEnvs):
        return contextlib.nullcontext(env)
    if isinstance(env, _gymnasium.vector.VectorEnv):
        return GymnasiumVectorEnvs(env, **options)
    if isinstance(env, _gymnasium.Env):
        return make_envs(_copier(env), num_envs, **options)
    return make_envs(env, num_envs, **options)


def is_atari(env: object) -> bool:
    """Whether `make_envs` makes `AtariEnvs` for this `env`."""
    return isinstance(env, str) and not _is_gymnasium_id(env)


def _is_gymnasium_id(env):
    """Whether `env` is a Gymnasium id of an environment other than ALE's."""
    if ":" in env:  # "module:id"
        return True
    spec = _gymnasium.registry.get(env)
    return spec is not None and not _is_made_by_ale(spec)


def _copier(env):
    """Returns a function that makes environments like this one."""

    def copy_of():
        errors = (TypeError, ValueError, AttributeError, _gymnasium.error.Error)
        with contextlib.suppress(*errors):  # a wrapper that its `spec` does not record
            if env.spec is not None:
                return _gymnasium.make(env.spec, disable_env_checker=True)
        try:
            return copy.deepcopy(env)
        except Exception as error:
            raise ValueError(
                "`env` cannot be copied. Write a constructor, such as `lambda: "
                f"{type(env.unwrapped).__name__}(...)`. Received: {env!r}, which "
                f"raised {type(error).__name__}: {error}"
            ) from error

    return copy_of


def _keywords(cls):
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _check_option(name, allowed, foreign, received):
    if name in allowed:
        return
    listing = ", ".join(f"`{word}`" for word in allowed)
    if name in foreign:
        kind = "Gymnasium environments" if "env_kwargs" in foreign else "Atari games"
        raise ValueError(
            f"`{name}` is an option of {kind} only; this environment takes {listing}. "
            + received
        )
    hint = _checks.did_you_mean(name, [*allowed, "num_envs", "seed"])
    raise TypeError(
        f"`{name}` is not an option of this environment, which takes {listing}.{hint} "
        + received
    )
