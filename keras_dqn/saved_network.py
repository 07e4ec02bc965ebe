"""Opens a saved network, and nothing else that a `.keras` file can be.

A `.keras` file says by name which classes and functions to make. Keras refuses the
worst of it; here only what a Q-network is made of gets so far: plain layers and
operations of Keras, and weights that lie in the file itself.
"""

import json
import pathlib
import zipfile

import h5py
import keras

from keras_dqn.replay import memory

LARGEST_CONFIG_BYTES = 2**24
MOST_SHRUNK = 100  # times; Keras does not compress at all
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}
# By module. Layers that run code, read files or hold another framework's model
# (Lambda, TFSMLayer, TorchModuleWrapper, JaxLayer, StringLookup, ...) are not here.
_MODELS = {"Functional", "Sequential", "Model"}
_LAYERS = {
    *("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"),
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply"),
    *(
        "BatchNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "Normalization",
    ),
    *("RMSNormalization", "SpectralNormalization", "UnitNormalization", "Subtract"),
    *("Dense", "EinsumDense", "Embedding", "InputLayer", "Identity", "Masking"),
    *("Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout2D"),
    *("Flatten", "Permute", "RepeatVector", "Rescaling", "Reshape"),
    *("GRU", "LSTM", "SimpleRNN", "MultiHeadAttention", "GroupQueryAttention"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    *(
        f"{kind}{axes}D"
        for axes in "123"
        for kind in (
            *("Conv", "MaxPooling", "AveragePooling", "GlobalMaxPooling"),
            *("GlobalAveragePooling", "ZeroPadding", "Cropping", "UpSampling"),
        )
    ),
}
_ANY = None  # what these modules hold are numbers and arithmetic
_ALLOWED = {
    "keras": _MODELS | {"DTypePolicy"},
    "keras.models": _MODELS,
    "keras.src.models.functional": _MODELS,
    "keras.src.models.sequential": _MODELS,
    "keras.layers": _LAYERS,
    "keras.dtype_policies": {"DTypePolicy"},
    "keras.initializers": _ANY,
    "keras.regularizers": _ANY,
    "keras.constraints": _ANY,
    "keras.src.ops.core": {"Cast"},
    "keras.src.ops.numpy": _ANY,
    "keras.src.ops.nn": _ANY,
    None: {"__keras_tensor__", "__tuple__"},
}


def load_network(path):
    """Opens a network that was saved as a `.keras` file.

    Args:
        path: Path.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        ValueError: If the file is something else, is damaged, or holds what a
            Q-network is not made of. The message says what. Networks with layers
            of one's own are opened with `keras.saving.load_model`, by who trusts
            them.
        OSError: If it cannot be read.
        MemoryError: If the weights would not fit into memory.
    """
    path = pathlib.Path(path)
    try:
        check_network_file(path)
        return keras.saving.load_model(path, compile=False)
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be opened: {error}") from error


def check_network_file(path):
    """Raises `ValueError` unless it is what `load_network` opens. Runs nothing.

    Args:
        path: `pathlib.Path`.
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
            _check_config(path, config)
        except (RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: config.json: {error}") from None
        with archive.open("model.weights.h5") as file:
            _check_weights(path, file)


def _check_members(path, archive):
    members = archive.infolist()
    names = [member.filename for member in members]
    if set(names) != _MEMBERS or len(names) != len(_MEMBERS):
        raise ValueError(
            f"{path} must hold {sorted(_MEMBERS)} and nothing else. "
            f"Received: {sorted(names)[:10]}"
        )
    for member in members:
        is_bomb = member.file_size > MOST_SHRUNK * member.compress_size + 1000
        is_config = member.filename != "model.weights.h5"
        if is_bomb or (is_config and member.file_size > LARGEST_CONFIG_BYTES):
            raise ValueError(
                f"{path}: {member.filename} would unpack to {member.file_size:,} bytes"
            )
    nbytes = sum(member.file_size for member in members)
    memory.check_fits(2 * nbytes, f"The network in {path}")


def _check_config(path, value):
    """Looks at every object that the configuration describes."""
    if isinstance(value, list):
        for item in value:
            _check_config(path, item)
    if not isinstance(value, dict):
        return
    if "class_name" in value or "module" in value or "registered_name" in value:
        module, name = value.get("module"), value.get("class_name")
        registered = value.get("registered_name")
        is_known = isinstance(module, str | None) and module in _ALLOWED
        names = _ALLOWED[module] if is_known else ()
        is_plain = isinstance(name, str) and (names is _ANY or name in names)
        is_function = name == "function" or (name or "").startswith("__lambda")
        if not is_plain or is_function or registered not in (None, name):
            raise ValueError(
                f"{path}: a network is made of plain Keras layers. Received: "
                f"{str(module)[:60]}.{str(name)[:60]}"
            )
    for key, item in value.items():
        if key != "compile_config":  # which is not looked at, for it is not compiled
            _check_config(path, item)


def _check_weights(path, file):
    """Weights are numbers in this file: no links, and no more than it holds."""

    def fault_of_link(name, link):
        return None if isinstance(link, h5py.HardLink) else f"{name!r} are a link"

    def fault_of_item(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external or item.is_virtual or item.dtype.kind not in "biuf":
            return f"{name!r} are not plain numbers"
        if item.nbytes > item.id.get_storage_size():
            return f"{name!r} are larger than the file"
        return None

    try:
        weights = h5py.File(file, "r")
    except OSError as error:
        raise ValueError(f"{path}: model.weights.h5: {error}") from None
    with weights:  # a visit ends with the first fault; it must not raise
        fault = weights.visititems_links(fault_of_link)
        fault = fault or weights.visititems(fault_of_item)
    if fault:
        raise ValueError(f"{path}: the weights {fault}")
