"""Opens saved networks, and refuses `.keras` files that could do harm.

A `.keras` file is a zip archive: `config.json` names the classes and functions to
make, `model.weights.h5` holds the weights. A hostile file may name code to run or other
files to read, or ask for more memory than there is. So the file is checked before
Keras opens it: only Keras layers and operations that a Q-network is made of, and
no more weights than the file holds.
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

from keras_dqn.system import memory

LARGEST_CONFIG_BYTES = 2**24
# Unpacked size divided by packed size. Keras does not compress its files at all.
LARGEST_COMPRESSION = 100
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}

_MODELS = {"Functional", "Sequential", "Model"}
# Not here: layers that run code, read files or hold a model of another framework
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
_ANY = None  # every class of these modules holds numbers and does arithmetic
# Allowed classes by module. These are texts that stand in files and are compared: the
# modules are not imported. For an operation of `keras.ops`, and in some versions for a
# model, Keras writes the internal module (`keras.src...`) where the class is defined.
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
# The keys of a configuration under which a layer may stand. Inside `inbound_nodes`, the
# arguments of calls, none may: Keras would make it, and the count would miss it.
_KEYS_OF_LAYERS = frozenset(
    {"layers", "layer", "backward_layer", "cell", "cells", "activation"}
)
# What `zipfile`, `zlib`, h5py and Keras raise for damaged files. `zipfile` raises
# `NotImplementedError` for an unknown compression method.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(KeyError, TypeError, AttributeError, IndexError, OverflowError),
)


def load_network(path: str | os.PathLike[str]) -> keras.Model:
    """Opens a network that was saved as a `.keras` file.

    Args:
        path: Path of the file.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        ValueError: If the file is damaged, is of another kind, or holds what is not
            allowed, such as a `Lambda` or a layer of your own. The message names it.
            If you trust the file, use `keras.saving.load_model`.
        OSError: If the file cannot be read.
        MemoryError: If the weights would not fit into memory.
    """
    path = pathlib.Path(path)
    try:
        check_network_file(path)
        return keras.saving.load_model(path, compile=False)
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be opened: {error}") from error


def check_network_file(path: pathlib.Path) -> None:
    """Raises an error unless `load_network` may open the file. Runs nothing of it.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If it is something else. The message says what.
        MemoryError: If the weights would not fit into memory.
        Exception: What `zipfile`, `zlib` and h5py raise for a damaged archive.
    """
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(f"The network must be a file `*.keras`. Received: {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no `.keras` file. Files of older kinds (`.h5`) are not opened"
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
            f"{path}: the layers must have no more weights than the file. Received: "
            f"{described + low_rank:,} numbers described, {stored:,} stored"
        )


def _count_described(path, config):
    """Counts the weights that the network would have, without making any.

    In Keras's stateless scope a variable is a shape without memory. Keras would
    allocate it later in the same thread, in the next scope, hence a thread of its own.

    Returns:
        `(described, low_rank)`: the numbers in weights that the file stores, and those
        in weights of LoRA, which Keras merges into the kernels when it saves. The two
        integers of a seed are not stored either, and not counted.
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
                f"{path}: {member.filename} would unpack to {member.file_size:,} bytes"
            )
    nbytes = sum(member.file_size for member in members)
    memory.check_fits(2 * nbytes, f"The network in {path}")


def _check_config(path, value, may_be_layer=False, keys_of_layers=_KEYS_OF_LAYERS):
    """Checks every object that the configuration describes, at any depth."""
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
            raise ValueError(f"{path}: a network must hold no compiled model")
        inner = frozenset() if key == "inbound_nodes" else keys_of_layers
        _check_config(path, item, key in inner, inner)


def _check_object(path, value, may_be_layer):
    """Checks that an object is of an allowed class, and a layer where one may stand."""
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
            f"{path}: a network is made of plain Keras layers. Received: "
            f"{str(module)[:60]}.{str(name)[:60]}"
        )


def _check_all_used(path, functional):
    """Checks that every layer leads to the output; the count would miss others."""
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
            f"{path}: every layer must have a name of its own, and lead to the "
            f"output. Received: {sorted(map(str, names))[:10]}"
        )


def _are_lists(values):
    return all(isinstance(value, list) for value in values)


def _count_stored(path, file):
    """Checks that the weights are numbers in this file, and returns how many."""
    sizes = []

    def fault_of_link(name, link):
        return None if isinstance(link, h5py.HardLink) else f"{name!r} are a link"

    def fault_of_item(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external or item.is_virtual or not _are_numbers(item):
            return f"{name!r} are not plain numbers"
        if item.nbytes > item.id.get_storage_size():
            return f"{name!r} are larger than the file"
        sizes.append(item.size)
        return None

    try:
        weights = h5py.File(file, "r")
    except OSError as error:
        raise ValueError(f"{path}: model.weights.h5: {error}") from None
    with weights:  # h5py stops at the first fault that is returned; none is raised
        fault = weights.visititems_links(fault_of_link)
        fault = fault or weights.visititems(fault_of_item)
    if fault:
        raise ValueError(f"{path}: the weights {fault}")
    return sum(sizes)


def _are_numbers(dataset):
    """Whether it holds numbers. Keras stores bfloat16 as two raw bytes and says so."""
    if dataset.dtype.kind in "biuf":
        return True
    try:
        name = dataset.attrs.get("dtype")
    except Exception:  # a damaged attribute may raise anything
        return False
    is_raw = dataset.dtype == np.dtype("V2")
    return is_raw and isinstance(name, str) and name == "bfloat16"
