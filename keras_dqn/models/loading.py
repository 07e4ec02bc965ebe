"""Loads saved networks, and refuses `.keras` files that could do harm.

A `.keras` file is a zip archive: `config.json` names the classes and functions to
make, `model.weights.h5` holds the weights. A hostile file could make Keras run code,
read other files, or allocate too much memory. So the file is checked before Keras opens
it. It may contain only Keras layers and operations that are common in Q-networks, and
must store all weights that it describes.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import threading
import zipfile
import zlib

import h5py
import keras
import numpy as np

from keras_dqn.models import low_rank
from keras_dqn.system import memory

LARGEST_CONFIG_BYTES = 2**24
# Uncompressed size divided by compressed size. Keras does not compress its files.
LARGEST_COMPRESSION = 100
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}

_MODELS = {"Functional", "Sequential", "Model"}
# Left out: layers that run code, read files or contain a model of another framework
# (Lambda, TFSMLayer, TorchModuleWrapper, JaxLayer, FlaxLayer, StringLookup, ...).
_LAYERS = {
    *("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"),
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply"),
    *("Subtract", "ActivityRegularization", "Identity", "InputLayer", "Masking"),
    *("BatchNormalization", "GroupNormalization", "LayerNormalization"),
    *("Normalization", "RMSNormalization", "SpectralNormalization"),
    *("UnitNormalization", "Dense", "EinsumDense", "Embedding"),
    *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
    *("CategoryEncoding", "CenterCrop", "Flatten", "Permute", "RepeatVector"),
    *("Rescaling", "Reshape", "Resizing"),
    *("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "SimpleRNN", "SimpleRNNCell"),
    *("Bidirectional", "StackedRNNCells", "TimeDistributed"),
    *("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    *(
        f"{kind}{axes}D{suffix}"
        for axes in "123"
        for kind, suffix in (
            *(("Conv", ""), ("Conv", "Transpose"), ("ConvLSTM", "")),
            *(("MaxPooling", ""), ("AveragePooling", ""), ("SpatialDropout", "")),
            *(("AdaptiveMaxPooling", ""), ("AdaptiveAveragePooling", "")),
            *(("GlobalMaxPooling", ""), ("GlobalAveragePooling", "")),
            *(("ZeroPadding", ""), ("Cropping", ""), ("UpSampling", "")),
        )
    ),
}
_DTYPE_POLICIES = {
    *("DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "Int4DTypePolicy"),
    *("QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy"),
}
_QUANTIZERS = {
    *("AbsMaxQuantizer", "Float8QuantizationConfig", "Int4QuantizationConfig"),
    "Int8QuantizationConfig",
}
_ANY = None  # all classes of the module are harmless: they only do arithmetic
# Allowed classes by module. The names are compared with those in the file; nothing is
# imported. For an operation of `keras.ops`, and in some versions for a model, Keras
# writes the internal module (`keras.src...`) where the class is defined.
_ALLOWED = {
    "keras": _MODELS | _DTYPE_POLICIES,
    "keras.models": _MODELS,
    "keras.src.models.functional": _MODELS,
    "keras.src.models.sequential": _MODELS,
    "keras.layers": _LAYERS,
    "keras.dtype_policies": _DTYPE_POLICIES,
    "keras.quantizers": _QUANTIZERS,
    "keras.initializers": _ANY,
    "keras.regularizers": _ANY,
    "keras.constraints": _ANY,
    "keras.src.ops.core": {"Cast"},
    "keras.src.ops.numpy": _ANY,
    "keras.src.ops.nn": _ANY,
    None: {"__keras_tensor__", "__tuple__"},
}
_MODULES_OF_LAYERS = {
    *("keras", "keras.models", "keras.layers"),
    *("keras.src.models.functional", "keras.src.models.sequential"),
}
# The keys of a configuration that may hold layers. `inbound_nodes` (the arguments of
# calls) must not: Keras would make these layers, but their weights are not counted.
_KEYS_OF_LAYERS = frozenset(
    {"layers", "layer", "backward_layer", "cell", "cells", "activation"}
)
# Errors of `zipfile`, `zlib`, h5py and Keras for damaged files. `zipfile` raises
# `NotImplementedError` for an unknown compression method.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(KeyError, TypeError, AttributeError, IndexError, OverflowError),
)


def load_network(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a network that was saved as a `.keras` file.

    Args:
        path: Path of the file.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        ValueError: If the file is damaged or not a `.keras` file, or contains
            something that is not allowed, such as a `Lambda` or a layer of your own.
            If you trust the file, use `keras.saving.load_model`.
        OSError: If the file cannot be read.
        MemoryError: If the weights would not fit into memory.
    """
    path = pathlib.Path(path)
    try:
        check_network_file(path)
        network = keras.saving.load_model(path, compile=False)
        with zipfile.ZipFile(path) as archive:
            low_rank.restore(network, json.loads(archive.read("config.json")))
        return network
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be opened: {error}") from error


def check_network_file(path: pathlib.Path) -> None:
    """Raises an error unless the file is safe to open. Runs no code from it.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If it is not a `.keras` file, or contains something that is not
            allowed.
        MemoryError: If the weights would not fit into memory.
        Exception: One of `_DAMAGE`, if the file is damaged.
    """
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(f"The network must be a `.keras` file. Received: {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is not a `.keras` file. Older formats (`.h5`) are not supported"
        )
    with zipfile.ZipFile(path) as archive:
        _check_members(path, archive)
        try:
            config = json.loads(archive.read("config.json"))
            if isinstance(config, dict):
                config.pop("compile_config", None)  # not read with `compile=False`
            _check_config(path, config, may_be_layer=True)
        except (RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: config.json: {error}") from None
        with archive.open("model.weights.h5") as file:
            stored = _count_stored(path, file)
    described, low_rank = _count_described(path, config)
    if described > stored or low_rank > stored:
        raise ValueError(
            f"{path}: the layers must have no more weights than the file stores. "
            f"Received: layers with {described + low_rank:,}, {stored:,} stored"
        )


def _count_described(path, config):
    """Counts the weights that the network would have, without allocating them.

    In Keras's stateless scope, variables have shapes but no memory. Keras would
    allocate them in the next scope of the same thread, so this runs in a new thread.

    Returns:
        `(described, low_rank)`: the numbers of weights that the file should store, and
        of weights of LoRA, which are not stored because Keras merges them into the
        kernels when it saves. Seeds are not stored either, and not counted.
    """
    found = []

    def count():
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = keras.saving.deserialize_keras_object(config)
                counts = {True: 0, False: 0}
                for variable in model.weights:
                    is_low_rank = variable.name.startswith("lora_")
                    counts[is_low_rank] += math.prod(variable.shape)
                found.append((counts[False], counts[True]))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=count, name="keras_dqn count weights")
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise ValueError(f"{path}: config.json: {found[0]}") from found[0]
    return found[0]


def _check_members(path, archive):
    members = archive.infolist()
    names = [member.filename for member in members]
    if set(names) != _MEMBERS or len(names) != len(_MEMBERS):
        raise ValueError(
            f"{path} must hold {sorted(_MEMBERS)} and nothing else. "
            f"Received: {sorted(names)[:10]}"
        )
    for member in members:
        is_bomb = member.file_size > LARGEST_COMPRESSION * member.compress_size + 1000
        is_config = member.filename != "model.weights.h5"
        if is_bomb or (is_config and member.file_size > LARGEST_CONFIG_BYTES):
            raise ValueError(
                f"{path}: {member.filename} is too large: {member.file_size:,} bytes"
            )
    nbytes = sum(member.file_size for member in members)
    memory.check_fits(2 * nbytes, f"The network in {path}")


def _check_config(path, value, may_be_layer=False, keys_of_layers=_KEYS_OF_LAYERS):
    """Raises `ValueError` if an object in the configuration is not allowed."""
    if isinstance(value, list):
        for item in value:
            _check_config(path, item, may_be_layer, keys_of_layers)
    if not isinstance(value, dict):
        return
    if "class_name" in value or "module" in value or "registered_name" in value:
        _check_object(path, value, may_be_layer)
    if "output_layers" in value:
        _check_all_used(path, value)
    for key, item in value.items():
        if key == "compile_config" and item not in (None, {}):
            raise ValueError(f"{path}: a network must not contain a compiled model")
        inner = frozenset() if key == "inbound_nodes" else keys_of_layers
        _check_config(path, item, key in inner, inner)


def _check_object(path, value, may_be_layer):
    """Raises `ValueError` for a class that is not allowed, or not in this place."""
    module, name = value.get("module"), value.get("class_name")
    registered = value.get("registered_name")
    is_known = isinstance(module, str | None) and module in _ALLOWED
    names = _ALLOWED[module] if is_known else ()
    is_allowed = isinstance(name, str) and (names is _ANY or name in names)
    is_function = name == "function" or str(name).startswith("__lambda")
    is_layer = is_allowed and module in _MODULES_OF_LAYERS
    is_layer = is_layer and name not in _DTYPE_POLICIES
    if (
        not is_allowed
        or is_function
        or registered not in (None, name)
        or (is_layer and not may_be_layer)
    ):
        raise ValueError(
            f"{path}: a network must contain only plain Keras layers. Received: "
            f"{str(module)[:60]}.{str(name)[:60]}"
        )


def _check_all_used(path, functional):
    """Raises `ValueError` for a layer without effect, whose weights are not counted."""
    layers = functional["layers"]
    outputs = functional["output_layers"]
    used = {each[0] for each in (outputs if _are_lists(outputs) else [outputs])}
    todo = [each["inbound_nodes"] for each in layers]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                used.add(value["config"]["keras_history"][0])
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    names = [each["name"] for each in layers]
    if used != set(names) or len(used) != len(names):
        raise ValueError(
            f"{path}: every layer must have a unique name and lead to the output. "
            f"Received: {sorted(map(str, names))[:10]}"
        )


def _are_lists(values):
    return all(isinstance(value, list) for value in values)


def _count_stored(path, file):
    """Returns how many numbers the file stores; raises `ValueError` for other data."""
    sizes = []

    def fault_of_link(name, link):
        return (
            None if isinstance(link, h5py.HardLink) else f"{name!r} must not be a link"
        )

    def fault_of_item(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external or item.is_virtual or not _are_numbers(item):
            return f"{name!r} must be plain numbers in this file"
        if item.nbytes > item.id.get_storage_size():
            return f"{name!r} must not be larger than its data in the file"
        sizes.append(item.size)
        return None

    try:
        weights = h5py.File(file, "r")
    except OSError as error:
        raise ValueError(f"{path}: model.weights.h5: {error}") from None
    with weights:  # h5py stops at the first result that is not `None`
        fault = weights.visititems_links(fault_of_link)
        fault = fault or weights.visititems(fault_of_item)
    if fault:
        raise ValueError(f"{path}: the weights {fault}")
    return sum(sizes)


def _are_numbers(dataset):
    """Whether `dataset` holds numbers. Keras stores bfloat16 as two raw bytes."""
    if dataset.dtype.kind in "biuf":
        return True
    try:
        name = dataset.attrs.get("dtype")
    except Exception:  # a damaged attribute may raise anything
        return False
    is_raw = dataset.dtype == np.dtype("V2")
    return is_raw and isinstance(name, str) and name == "bfloat16"
