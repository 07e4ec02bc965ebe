"""Checks arguments that are environments, and says what to write instead."""

from __future__ import annotations

import gymnasium

from keras_dqn import checks
from keras_dqn.envs.base import VectorEnvs


def check_envs(envs: object, in_use: VectorEnvs | None = None) -> None:
    """Raises an error unless `envs` are open and are not `in_use`.

    Raises:
        TypeError: If `envs` is not a `VectorEnvs`.
        ValueError: If `envs` is `in_use`, the environments that `fit` trains in.
        RuntimeError: If `envs` are closed.
    """
    if not isinstance(envs, VectorEnvs):
        instead = f"keras_dqn.make_envs({_arguments(envs)})"
        raise checks.wrong_kind("envs", "what `make_envs` returns", envs, instead)
    if envs is in_use:
        raise ValueError(
            "`envs` must not be the environments that `fit` is training in. Leave "
            "`envs` out, or write an id or a constructor, and the evaluation makes "
            f"new ones. Received: envs={envs!r}"
        )
    envs.check_open()


def check_env(env: object) -> None:
    """Raises an error unless `env` is an id or a constructor.

    Raises:
        TypeError: If `env` is neither a string nor a constructor.
    """
    kinds = gymnasium.Env | gymnasium.vector.VectorEnv
    if isinstance(env, kinds) or not (isinstance(env, str) or callable(env)):
        rule = (
            "an id or a constructor, a callable that returns a new `gymnasium.Env` "
            "each time"
        )
        raise checks.wrong_kind("env", rule, env, _arguments(env))


def _arguments(env):
    """Returns, as text, the arguments with which `make_envs` makes `env`."""
    num_envs = ""
    if isinstance(env, gymnasium.vector.VectorEnv):
        num_envs = f", num_envs={env.num_envs}"
        env = getattr(env, "envs", [env])[0]
    if isinstance(env, str):
        return repr(env)
    if getattr(env, "spec", None) is not None:
        return repr(env.spec.id) + num_envs
    if isinstance(env, gymnasium.Env):
        return type(env.unwrapped).__name__ + num_envs
    return getattr(env, "__name__", "'CartPole-v1'") + num_envs
