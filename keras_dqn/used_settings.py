"""Which fields of `Settings` an agent was made with, so that none is ignored."""

from __future__ import annotations

from typing import Any

import keras

from keras_dqn import models
from keras_dqn.algorithms.arguments import Compiled
from keras_dqn.algorithms.backups import BACKUPS
from keras_dqn.algorithms.backups import Double
from keras_dqn.algorithms.backups import Munchausen
from keras_dqn.algorithms.backups import as_backup
from keras_dqn.algorithms.categorical import Categorical
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.quantiles import Quantiles
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.envs import VectorEnvs

_OF_NETWORK = ("body", "body_width", "dueling")


def of_network(
    network: keras.Model, settings: Settings, envs: VectorEnvs
) -> dict[str, Any]:
    """Returns the fields of the network that are asked for and not used, by name.

    Args:
        network: `keras.Model` of a program.
        settings: `Settings` of its run.
        envs: Vector environments.

    Returns:
        Dictionary, empty if nothing but the defaults is asked for, or if `network` has
        the weights that the settings describe.
    """
    asked = [
        name for name in _OF_NETWORK if getattr(settings, name) != FIELDS[name].default
    ]
    if not asked:
        return {}
    shapes = envs.num_actions, envs.observation_shape
    described = models.for_settings(settings, *shapes)
    pair = [[each.shape for each in net.weights] for net in (described, network)]
    return {} if pair[0] == pair[1] else dict.fromkeys(asked, "another network")


def of_compiled(compiled: Compiled | None) -> dict[str, Any]:
    """Returns the fields of `Settings` that parts of this library stand for."""
    fields: dict[str, Any] = {}
    if compiled is None:
        return fields
    head: Any = compiled.distribution or Scalar(compiled.huber_delta)
    if type(head) is Scalar:
        fields |= {"distribution": "scalar", "huber_delta": head.huber_delta}
    elif type(head) is Categorical:
        fields |= {"distribution": "categorical", "atoms": head.atoms}
        fields |= {"value_low": head.low, "value_high": head.high}
    elif type(head) is Quantiles:
        fields |= {"distribution": "quantiles", "quantiles": head.quantiles}
        fields |= {"huber_delta": head.kappa}
    if fields:
        fields["priority"] = head.get_config()["priority"]
    backup = compiled.backup or as_backup("double" if compiled.double_q else "greedy")
    if type(backup) is Munchausen:
        config = backup.get_config().items()
        fields |= {f"munchausen_{name}": value for name, value in config}
        fields["munchausen"] = True
    elif type(backup) in BACKUPS.values():
        fields |= {"munchausen": False, "double_q": type(backup) is Double}
    if compiled.optimizer.global_clipnorm is not None:
        fields["clip_scope"] = "global"
    elif compiled.optimizer.clipnorm is not None:
        fields["clip_scope"] = "variable"
    return fields
