"""Copies a network, and checks that the copy computes the same function.

Keras rebuilds a layer from its configuration (`get_config`) and copies its variables.
Everything else in a layer is lost: the tensors that an adapted `Normalization` uses,
the code of a `Lambda`, an attribute that was set after construction. `copy_network`
copies these too. Then `copy_check` compares outputs. A network that still cannot be
copied is refused, because its target network would compute another function.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import re
import types
import warnings

import keras
import numpy as np
from keras import ops

from keras_dqn.models import copy_check
from keras_dqn.models.layer_tree import is_layer
from keras_dqn.models.layer_tree import pairs_of
from keras_dqn.models.layer_tree import sublayers

_PLAIN_VALUES = (bool, int, float, str, type(None), np.generic, np.ndarray)


def copy_network(network: keras.Model, trainable: bool = True) -> keras.Model:
    """Returns a copy that computes the same function with its own variables.

    Layers are rebuilt from their configuration. A `Lambda` and layers of your own
    that have no variables are shared by both networks. The copy is not compiled.

    Args:
        network: Functional or built Sequential `keras.Model`. It is not changed.
        trainable: Boolean. If true, the same variables are trainable as in `network`;
            if false, none is, as in a target network.

    Returns:
        `keras.Model` with the same structure, layer names and order of variables.

    Raises:
        ValueError: If a layer cannot be rebuilt, or if the outputs of the copy differ
            from those of `network`.
    """
    cloned, shared = [], []

    def clone(layer):
        if not is_layer(layer):  # an operation such as `keras.ops.add`
            return type(layer).from_config(layer.get_config())
        if _can_be_shared(layer):
            shared.append(layer)
            return layer
        cloned.append(_rebuild(layer))
        return cloned[-1][0]

    try:
        with _marked_as_not_compiled(network):
            copy = keras.models.clone_model(
                network, clone_function=clone, recursive=True
            )
        for layer, initializers in cloned:
            _set_attributes(layer, initializers)
        _check_variables(network, copy)
        pairs = list(pairs_of(network, copy))
        for original, layer in pairs:
            _copy_state(original, layer)
        _copy_trainable(pairs)
    except Exception as error:
        raise ValueError(
            f"`network` cannot be copied. {error}\n{copy_check.HOW_TO_FIX}"
        ) from error
    copy_check.assign(copy, copy_check.values_of(network))
    if not trainable:
        flags = [(layer, layer.trainable) for layer in shared]
        copy.trainable = False
        for layer, flag in flags:
            layer.trainable = flag
    copy_check.check_copy(network, copy)
    return copy


def _can_be_shared(layer):
    """Whether both networks can use the same layer object.

    Keras's own layers are always rebuilt: a shared layer keeps all copies in memory.
    """
    if layer.variables or layer.activity_regularizer is not None:
        return False
    return any(
        isinstance(part, keras.layers.Lambda)
        or not type(part).__module__.startswith("keras.")
        for part in (layer, *sublayers(layer))
    )


def _rebuild(layer):
    """Returns an unbuilt layer of the same configuration, and its initializers.

    The layer gets zeros as initializers until it is built: its weights are overwritten
    anyway, and orthogonal ones take a second.
    """
    with warnings.catch_warnings():  # about serialized lambdas
        warnings.simplefilter("ignore", UserWarning)
        config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)  # built when it is called
    functions = {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, types.FunctionType)
    }
    config["config"] |= {k: v for k, v in functions.items() if k in config["config"]}
    config["config"] = _accepted(layer, config["config"])
    unregistered = [*map(type, (layer, *sublayers(layer))), *functions.values()]
    clone = keras.saving.deserialize_keras_object(
        config,
        custom_objects={each.__name__: each for each in unregistered},
    )
    initializers = {
        name: value
        for name, value in vars(clone).items()
        if isinstance(value, keras.initializers.Initializer)
    }
    _set_attributes(clone, dict.fromkeys(initializers, keras.initializers.Zeros()))
    return clone, initializers


def _accepted(layer, config):
    """Returns `config` without what Keras adds, if the constructor does not take it.

    `trainable` is set later. If the others matter, `check_copy` finds it.
    """
    parameters = inspect.signature(type(layer).__init__).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return config
    added = {"name", "trainable", "dtype"} - set(parameters)
    return {name: value for name, value in config.items() if name not in added}


def _set_attributes(layer, values):
    for name, value in values.items():
        setattr(layer, name, value)


def _copy_state(original, layer):
    """Copies tensors that are derived from variables, and plain attributes."""
    store = {}
    original.save_own_variables(store)
    if store:  # this also recomputes the tensors of `Normalization`
        with contextlib.suppress(ValueError):  # some subclasses do not save all
            layer.load_own_variables(
                {key: ops.convert_to_numpy(value) for key, value in store.items()}
            )
    for name, value in vars(original).items():
        if not name.startswith("_") and _is_plain(value):
            if not _is_equal(value, vars(layer).get(name, original)):
                setattr(layer, name, value)


def _is_plain(value):
    """Whether `value` is of numbers and strings, or a function without a closure."""
    if isinstance(value, types.FunctionType):
        return value.__closure__ is None
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN_VALUES)


def _is_equal(one, other):
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def _copy_trainable(pairs):
    """Copies the `trainable` flags of models, layers and variables."""
    for kind in (keras.Model, keras.layers.Layer):
        for original, layer in pairs:
            if isinstance(original, kind) and layer.trainable != original.trainable:
                layer.trainable = original.trainable
    for original, layer in pairs:
        for theirs, ours in zip(original.variables, layer.variables, strict=True):
            if ours.trainable != theirs.trainable:
                ours.trainable = theirs.trainable


@contextlib.contextmanager
def _marked_as_not_compiled(network):
    """Prevents `clone_model` from making an optimizer, losses and metrics."""
    models = [network, *sublayers(network)]
    models = [each for each in models if getattr(each, "compiled", False)]
    for model in models:
        model.compiled = False
    try:
        yield
    finally:
        for model in models:
            model.compiled = True


def _check_variables(network, copy):
    """Raises `ValueError` unless the two lists of variables correspond."""

    def described(variable):
        if variable is None:
            return None
        name = re.sub(r"_\d+$", "", variable.name)  # Keras appends a counter
        return name, tuple(variable.shape), variable.dtype

    pairs = itertools.zip_longest(network.variables, copy.variables)
    for theirs, ours in pairs:
        if described(theirs) != described(ours):
            raise ValueError(
                "The copy must have the network's variables in the same order. "
                f"Received: {described(theirs)} in the network, {described(ours)} in "
                "the copy"
            )
    shared = {id(each) for each in network.variables} & {
        id(each) for each in copy.variables
    }
    if shared:
        raise ValueError("The copy shares variables with the network")
