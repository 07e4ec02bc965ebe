"""The arguments of `DQNAgent.compile`."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from keras_dqn import checks
from keras_dqn import interfaces
from keras_dqn.algorithms.backups import BACKUPS
from keras_dqn.algorithms.backups import Munchausen
from keras_dqn.algorithms.backups import as_backup
from keras_dqn.algorithms.categorical import Categorical
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.dqn import DQN
from keras_dqn.algorithms.quantiles import Quantiles
from keras_dqn.backend import Learner


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The arguments of `DQNAgent.compile`, which describes them, checked."""

    optimizer: keras.optimizers.Optimizer
    double_q: bool
    huber_delta: float
    backup: interfaces.Backup | None
    distribution: interfaces.Distribution | None
    jit_compile: bool | str

    @classmethod
    def of(
        cls,
        optimizer: Any,
        double_q: bool,
        huber_delta: float,
        backup: Any,
        distribution: Any,
        jit_compile: bool | str,
    ) -> Compiled:
        """Returns checked arguments. Raises `TypeError` or `ValueError`."""
        huber_delta = float(Scalar(huber_delta).huber_delta)
        if backup is not None:
            backup = as_backup(backup)
            if not double_q:
                rule = "left out if `backup` is given"
                raise checks.ArgumentError("double_q", rule, double_q)
        if distribution is not None:
            distribution = as_distribution(distribution)
            if huber_delta != 1.0:
                rule = "left out if `distribution` is given"
                raise checks.ArgumentError("huber_delta", rule, huber_delta)
        return cls(
            as_optimizer(optimizer),
            bool(double_q),
            huber_delta,
            backup,
            distribution,
            jit_compile,
        )

    def learner(self, network: keras.Model, stack_first: bool) -> Learner:
        """Returns a learner that trains `network`, which has one input."""
        model = DQN(
            network,
            distribution=self.distribution or Scalar(self.huber_delta),
            backup=self.backup or ("double" if self.double_q else "greedy"),
            # Stacks are transposed to channels-last on the device: here it is slow.
            stack_first=stack_first,
        )
        model.compile(optimizer=self.optimizer)
        return Learner(model, jit_compile=self.jit_compile)

    def to_json(self) -> dict[str, Any]:
        """Returns the arguments as JSON values; of objects of one's own, the name."""
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "double_q": self.double_q,
            "huber_delta": self.huber_delta,
            "backup": _described(self.backup),
            "distribution": _described(self.distribution),
            "jit_compile": self.jit_compile,
        }


def from_json(
    values: dict[str, Any], backup: Any = None, distribution: Any = None
) -> dict[str, Any]:
    """Returns the arguments of `compile` that `Compiled.to_json` wrote.

    Raises:
        ValueError: If there was a backup or distribution, and none is given here.
    """
    given = {"backup": backup, "distribution": distribution}
    for name, value in given.items():
        saved = values.get(name)
        if isinstance(saved, dict) and value is None:
            given[name] = _OURS[saved["name"]].from_config(saved["config"])
        elif (value is None) != (saved is None):
            raise ValueError(
                f"`{name}` must be given to `load` if one was given to `compile`, and "
                f"not otherwise. Received: {name}={value!r}. Saved: {saved}"
            )
    return {**values, **given}


def as_distribution(distribution: Any) -> Any:
    """Returns an `interfaces.Distribution`.

    Raises:
        TypeError: If a method is missing.
    """
    methods = ("mean", "at", "targets", "losses")
    is_class = isinstance(distribution, type)
    missing = [m for m in methods if not callable(getattr(distribution, m, None))]
    if is_class or missing:
        rule = f"an object with the methods {', '.join(methods)}"
        instead = f"{distribution.__name__}()" if is_class else "Scalar()"
        raise checks.wrong_kind("distribution", rule, distribution, instead)
    return distribution


# Saved with an agent. Objects of one's own are not.
_OURS: dict[str, Any] = {
    each.__name__: each for each in (Scalar, Categorical, Quantiles, *BACKUPS.values())
}


def _described(value):
    """Returns name and configuration of an object of ours, else the name."""
    if value is None:
        return None
    name = type(value).__name__
    is_ours = _OURS.get(name) is type(value)
    return {"name": name, "config": value.get_config()} if is_ours else name


def from_settings(settings: Any) -> dict[str, Any]:
    """Returns the arguments `backup`, `distribution`, ... that `Settings` describe."""
    backup: Any = "double" if settings.double_q else "greedy"
    if settings.munchausen:
        names = ("munchausen_alpha", "munchausen_tau", "munchausen_clip")
        backup = Munchausen(*[getattr(settings, name) for name in names])
    support = settings.atoms, settings.value_low, settings.value_high
    delta, priority = settings.huber_delta, settings.priority
    make = {
        "scalar": lambda: Scalar(delta, priority),
        "categorical": lambda: Categorical(*support, priority),
        "quantiles": lambda: Quantiles(settings.quantiles, delta, priority),
    }[settings.distribution]
    clip = "clipnorm" if settings.clip_scope == "variable" else "global_clipnorm"
    optimizer = keras.optimizers.Adam(
        settings.learning_rate,
        epsilon=settings.adam_epsilon,
        **{clip: settings.clipnorm},
    )
    return {
        "optimizer": optimizer,
        "backup": backup,
        "distribution": make(),
        "jit_compile": settings.jit_compile,
    }


_RULE = "a Keras optimizer or the name of one, such as 'adam'"


def as_optimizer(optimizer: Any) -> keras.optimizers.Optimizer:
    """Returns a Keras optimizer.

    Args:
        optimizer: Keras optimizer, its name, or its configuration. `None`: Adam with
            learning rate 1e-4, epsilon 1e-8 and each variable's gradient clipped to
            L2 norm 10, as in the reference implementation.

    Raises:
        TypeError: If `optimizer` is a class, a number, or anything else.
        ValueError: If Keras has no optimizer of that name.
    """
    if optimizer is None:
        return keras.optimizers.Adam(1e-4, epsilon=1e-8, clipnorm=10.0)
    if isinstance(optimizer, str):
        return _by_name(optimizer)
    if not isinstance(optimizer, dict | keras.optimizers.Optimizer):
        instead = "keras.optimizers.Adam(1e-4)"
        if isinstance(optimizer, type):
            instead = f"keras.optimizers.{optimizer.__name__}(...)"
        elif isinstance(optimizer, float):
            instead = f"keras.optimizers.Adam({optimizer})"
        raise checks.wrong_kind("optimizer", "a Keras optimizer", optimizer, instead)
    if isinstance(optimizer, dict) and optimizer.get("module") == "keras.optimizers":
        return _kind(optimizer["class_name"]).from_config(optimizer["config"])
    return keras.optimizers.get(optimizer)


def _by_name(name):
    try:
        return _kind(name)()
    except TypeError:  # `LossScaleOptimizer`, which needs another optimizer
        raise checks.ArgumentError("optimizer", _RULE, name) from None


def _kind(name):
    """Returns the class. `keras.optimizers.get` of Keras 3.15 does not know `Lamb`."""
    kinds = {kind.lower(): each for kind, each in vars(keras.optimizers).items()}
    found = kinds.get(name.lower())
    if isinstance(found, type) and issubclass(found, keras.optimizers.Optimizer):
        return found
    raise checks.ArgumentError("optimizer", _RULE, name)
