"""Refuses what are no environments, with the call to write instead."""

from __future__ import annotations

import gymnasium

from keras_dqn import checks
from keras_dqn.envs.base import VectorEnvs


def check_envs(envs: object, in_use: VectorEnvs | None = None) -> None:
    """Refuses what are no open `VectorEnvs`, or are `in_use`.

    Raises:
        TypeError: If they are something else.
        ValueError: If they are in use.
        RuntimeError: If they are closed.
    """
    if not isinstance(envs, VectorEnvs):
        instead = f"keras_dqn.make_envs({_arguments(envs)})"
        raise checks.wrong_kind("envs", "what `make_envs` returns", envs, instead)
    if envs is in_use:
        raise ValueError(
            "`envs` must not be those that `fit` is training in. An evaluation makes "
            "others if it is given none, or an id or a constructor. Received: "
            f"envs={envs!r}"
        )
    envs.check_open()


def check_env(env: object) -> None:
    """Refuses what `make_envs` can make no environments of.

    Raises:
        TypeError: If `env` is no string and no constructor.
    """
    kinds = gymnasium.Env | gymnasium.vector.VectorEnv
    if isinstance(env, kinds) or not (isinstance(env, str) or callable(env)):
        rule = (
            "an id or a constructor, a callable that returns a new `gymnasium.Env` "
            "each time"
        )
        raise checks.wrong_kind("env", rule, env, _arguments(env))


def _arguments(env):
    """Returns the arguments with which `make_envs` makes such environments."""
    several = ""
    if isinstance(env, gymnasium.vector.VectorEnv):
        several = f", num_envs={env.num_envs}"
        env = getattr(env, "envs", [env])[0]
    if isinstance(env, str):
        return repr(env)
    if getattr(env, "spec", None) is not None:
        return repr(env.spec.id) + several
    if isinstance(env, gymnasium.Env):
        return type(env.unwrapped).__name__ + several
    return getattr(env, "__name__", "'CartPole-v1'") + several
