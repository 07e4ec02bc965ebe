"""Copies a network, and checks that the copy computes the same function.

Keras rebuilds a layer from its configuration (`get_config`) and copies its variables.
What a layer holds besides is lost in this way: the tensors that an adapted
`Normalization` computes with, the code of a `Lambda`, an attribute that was set after
construction. `copy_network` carries these over. `check_copy` compares outputs, so
that a network that still cannot be copied is refused, instead of being trained against
the targets of another network.
"""

import contextlib
import itertools
import re
import types
import warnings

import keras
import numpy as np
from keras import ops

# For dimensions that are `None`: large enough for convolutions of game frames.
UNKNOWN_SIZE = 64
# Largest difference of outputs, relative to the largest output. Both networks run the
# same operations on the same numbers; a kernel may add them up in another order.
TOLERANCE = 1e-5
_PLAIN_VALUES = (bool, int, float, str, type(None), np.generic, np.ndarray)
_WHAT_TO_DO = (
    "A layer is copied by `get_config`, `from_config` and its variables: give whatever "
    "else its output depends on to the constructor and return it from `get_config`, "
    "or make it a variable (`add_weight(..., trainable=False)`). A Lambda inside of "
    "another layer becomes a class of its own."
)


def copy_network(network, trainable=True):
    """Returns a network of the same function, with variables of its own.

    Layers and operations that have no variables compute the same in both networks and
    are shared. All others are rebuilt from their configuration. The copy is not
    compiled.

    Args:
        network: Functional or built Sequential `keras.Model`. It is left as it is.
        trainable: Boolean. Whether the copy has the trainable variables of `network`.
            Otherwise it has none, as a target network.

    Returns:
        `keras.Model` of the same structure, layer names and order of variables.

    Raises:
        ValueError: If a layer cannot be rebuilt, or the copy computes something else
            than `network`.
    """
    cloned, shared = [], []

    def clone(layer):
        if _has_state(layer):
            cloned.append(_rebuild(layer))
            return cloned[-1][0]
        shared.append(layer)
        return layer

    try:
        with _as_if_never_compiled(network):
            copy = keras.models.clone_model(
                network, clone_function=clone, recursive=True
            )
        for layer, initializers in cloned:
            _set_attributes(layer, initializers)
        _check_variables(network, copy)
        pairs = list(_pairs(network, copy))
        for original, layer in pairs:
            _copy_state(original, layer)
    except Exception as error:
        raise ValueError(
            f"`network` cannot be copied. {error}\n{_WHAT_TO_DO}"
        ) from error
    _assign(copy, _values(network))
    _copy_trainable(pairs)
    if not trainable:
        flags = [(layer, layer.trainable) for layer in shared if _is_layer(layer)]
        copy.trainable = False
        for layer, flag in flags:
            layer.trainable = flag
    check_copy(network, copy)
    return copy


def copy_variables(source, target):
    """Sets the variables of a copy to the values of the original's.

    The values are copied, so the two networks share no memory afterwards. It can be
    called inside a compiled function.

    Args:
        source: `keras.Model`.
        target: `keras.Model` that `copy_network` made of `source`.
    """
    for ours, theirs in zip(target.variables, source.variables, strict=True):
        ours.assign(ops.copy(theirs.value))


def check_copy(network, copy):
    """Checks that a copy computes the same function, now and after weights change.

    Both networks run on one random batch in inference mode. Then the weights of
    `network` change: the copy must not change with them, and must be equal again after
    `copy_variables`. In the end the variables of both, seeds included, are what those
    of `network` were before, bit for bit.

    Args:
        network: `keras.Model` with one input and one output.
        copy: `keras.Model` that `copy_network` made of `network`.

    Raises:
        ValueError: If outputs differ. The message names the layer where that begins.
    """
    batch = [_random_input(network, tensor) for tensor in network.inputs]
    saved = _values(network)
    changed = [
        np.float32(1.25) * value + np.float32(0.0625) if _is_float(variable) else value
        for variable, value in zip(network.variables, saved, strict=True)
    ]
    _assign(copy, saved)
    try:
        try:
            before = _run(network, batch)
        except Exception as error:
            warnings.warn(
                "The copy of `network` could not be checked, because `network` does "
                f"not run on random inputs: {error}",
                stacklevel=2,
            )
            return
        _check_same(network, copy, batch, before, "gives other outputs")
        _assign(network, changed)
        _assign(copy, saved, only_integers=True)  # seeds, which a run may change
        _check_same(network, copy, batch, before, "shares weights with it")
        _assign(network, changed, only_integers=True)
        _assign(copy, changed)
        after = _run(network, batch)
        _check_same(network, copy, batch, after, "does not follow when it is trained")
    finally:
        _assign(network, saved)
        _assign(copy, saved)


def _has_state(layer):
    """Whether a layer has something of its own, so that two networks need two."""
    return _is_layer(layer) and (layer.variables or layer.activity_regularizer)


def _is_layer(operation):
    """Whether it is a layer, and not an operation such as `keras.ops.add`."""
    return isinstance(operation, keras.layers.Layer)


def _rebuild(layer):
    """Returns an unbuilt layer of the same configuration, and its initializers.

    Zeros stand in for the initializers while the layer is built: the weights are
    overwritten anyway, and orthogonal ones take a second.
    """
    with warnings.catch_warnings():  # that a lambda is serialized
        warnings.simplefilter("ignore", UserWarning)
        config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)  # the copied network builds it, in its turn
    functions = {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, types.FunctionType)
    }
    config["config"] |= {k: v for k, v in functions.items() if k in config["config"]}
    unregistered = [*map(type, [layer, *_sublayers(layer)]), *functions.values()]
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


def _set_attributes(layer, values):
    for name, value in values.items():
        setattr(layer, name, value)


def _copy_state(original, layer):
    """Copies what is not a variable but is derived from some, and plain attributes."""
    store = {}
    original.save_own_variables(store)
    if store:  # this also recomputes the tensors of `Normalization`
        layer.load_own_variables(
            {key: ops.convert_to_numpy(value) for key, value in store.items()}
        )
    for name, value in vars(original).items():
        if not name.startswith("_") and _is_plain(value):
            if not _is_equal(value, vars(layer).get(name, original)):
                setattr(layer, name, value)


def _is_plain(value):
    """Whether it is numbers and strings, or a function that refers to no object."""
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
    """Freezes in the copy what is frozen in the original: models, layers, variables."""
    for kind in (keras.Model, keras.layers.Layer):
        for original, layer in pairs:
            if isinstance(original, kind) and layer.trainable != original.trainable:
                layer.trainable = original.trainable
    for original, layer in pairs:
        for theirs, ours in zip(original.variables, layer.variables, strict=True):
            if ours.trainable != theirs.trainable:
                ours.trainable = theirs.trainable


def _pairs(original, copy, seen=()):
    """Yields a layer with its copy, then those that it is made of with theirs."""
    seen = seen or set()
    if original is copy or id(original) in seen:
        return
    seen.add(id(original))
    yield original, copy
    for name, value in vars(original).items():
        both = _layers_in(value), _layers_in(vars(copy).get(name))
        for one, other in zip(*both, strict=False):
            yield from _pairs(one, other, seen)


def _sublayers(layer):
    """Returns the layers that a layer is made of, at any depth."""
    found = {}
    todo = [layer]
    while todo:
        for value in vars(todo.pop()).values():
            for each in _layers_in(value):
                if id(each) not in found:
                    found[id(each)] = each
                    todo.append(each)
    return list(found.values())


def _layers_in(value):
    values = value.values() if isinstance(value, dict) else value
    values = values if isinstance(value, dict | list | tuple) else [value]
    return [each for each in values if _is_layer(each)]


@contextlib.contextmanager
def _as_if_never_compiled(network):
    """Keeps `clone_model` from making an optimizer, losses and metrics as well."""
    models = [network, *_sublayers(network)]
    models = [each for each in models if getattr(each, "compiled", False)]
    for model in models:
        model.compiled = False
    try:
        yield
    finally:
        for model in models:
            model.compiled = True


def _check_variables(network, copy):
    """Checks that the lists of variables correspond, one by one."""

    def described(variable):
        if variable is None:
            return None
        name = re.sub(r"_\d+$", "", variable.name)  # Keras counts up `variable_2`
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
        raise ValueError("A copy has variables of the network itself")


def _values(network):
    return [
        np.array(ops.convert_to_numpy(variable.value)) for variable in network.variables
    ]


def _assign(network, values, only_integers=False):
    for variable, value in zip(network.variables, values, strict=True):
        if not (only_integers and _is_float(variable)):
            variable.assign(np.array(value))  # a backend may keep the array itself


def _is_float(variable):
    return keras.backend.is_float_dtype(variable.dtype)


def _random_input(network, tensor):
    """Returns a small random batch for one of the inputs.

    An `Embedding` can look up all of it: floats are truncated to 0 there.
    """
    rng = np.random.default_rng(0)
    shape = [UNKNOWN_SIZE if size is None else size for size in tensor.shape]
    shape[0] = tensor.shape[0] or 2
    if keras.backend.is_float_dtype(tensor.dtype):
        return rng.uniform(-1, 1, shape).astype("float32")
    counts = [
        layer.input_dim
        for layer in _sublayers(network)
        if isinstance(layer, keras.layers.Embedding)
    ]
    count = min([256 if tensor.dtype == "uint8" else 2, *counts])
    return rng.integers(count, size=shape).astype(tensor.dtype)


def _run(network, batch):
    inputs = batch if len(batch) > 1 else batch[0]
    outputs = keras.tree.flatten(network(inputs, training=False))
    return [ops.convert_to_numpy(output).astype("float32") for output in outputs]


def _check_same(network, copy, batch, expected, fault):
    if _are_close(_run(copy, batch), expected):
        return
    raise ValueError(
        f"`network` cannot be copied: the copy {fault}"
        f"{_first_difference(network, copy, batch)}.\n{_WHAT_TO_DO}"
    )


def _are_close(actual, expected):
    def is_close(one, other):
        finite = np.abs(other[np.isfinite(other)])
        tolerance = TOLERANCE * finite.max(initial=0.0)
        return np.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True)

    return all(map(is_close, actual, expected))


def _first_difference(network, copy, batch):
    """Says in which layer the outputs begin to differ, if that can be found out."""
    for layer, clone in zip(network.layers, copy.layers, strict=False):
        try:
            outputs = [
                _run(keras.Model(model.inputs, part.output), batch)
                for model, part in ((network, layer), (copy, clone))
                if layer is not clone
            ]
        except (AttributeError, ValueError):
            continue
        if outputs and not _are_close(*outputs):
            return f", from layer {layer.name!r} ({type(layer).__name__}) on"
    return ""
