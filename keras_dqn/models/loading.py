"""Opens a saved network, and nothing else that a `.keras` file can be.

A `.keras` file says by name which classes and functions to make. Keras refuses the
worst of it; here only what a Q-network is made of gets so far: plain layers and
operations of Keras, and weights that lie in the file itself.
"""

import json
import math
import pathlib
import threading
import zipfile
import zlib

import h5py
import keras

from keras_dqn.system import memory

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


_OF_LAYERS = {"keras", "keras.models", "keras.layers"}
_OF_LAYERS |= {"keras.src.models.functional", "keras.src.models.sequential"}
# Under these keys of a configuration there may be layers and models, except in what
# describes a call: there one would be made, weights and all, and forgotten.
_PLACES = frozenset({"layers", "layer", "activation"})
# What `zipfile`, `zlib`, h5py and Keras raise for damaged files; of a method of
# compression that it does not know, `zipfile` says `NotImplementedError`.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(KeyError, TypeError, AttributeError, IndexError, OverflowError),
)


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
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be opened: {error}") from error


def check_network_file(path):
    """Raises an error unless it is what `load_network` opens. Runs nothing.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If it is something else. The message says what.
        MemoryError: If the weights would not fit into memory.
        Exception: Of a damaged archive, what `zipfile` and `zlib` raise.
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
                config.pop("compile_config", None)  # Keras is told not to look at it
            _check_config(path, config, may_be_layer=True)
        except (RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: config.json: {error}") from None
        with archive.open("model.weights.h5") as file:
            stored = _check_weights(path, file)
    described = _numbers_described(path, config)
    if described > stored:
        raise ValueError(
            f"{path}: the layers must have no more weights than the file. Received: "
            f"{described:,} numbers described, {stored:,} stored"
        )


def _numbers_described(path, config):
    """Counts the weights that a network would have. None of them is made.

    In Keras's stateless scope a variable is a shape. It would be made in the next
    scope of the thread; so this has a thread of its own, which ends.
    """
    found = []

    def count():
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = keras.saving.deserialize_keras_object(config)
                found.append(sum(math.prod(v.shape) for v in model.variables))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=count, name="keras_dqn count")
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
        is_bomb = member.file_size > MOST_SHRUNK * member.compress_size + 1000
        is_config = member.filename != "model.weights.h5"
        if is_bomb or (is_config and member.file_size > LARGEST_CONFIG_BYTES):
            raise ValueError(
                f"{path}: {member.filename} would unpack to {member.file_size:,} bytes"
            )
    nbytes = sum(member.file_size for member in members)
    memory.check_fits(2 * nbytes, f"The network in {path}")


def _check_config(path, value, may_be_layer=False, places=_PLACES):
    """Looks at every object that the configuration describes."""
    if isinstance(value, list):
        for item in value:
            _check_config(path, item, may_be_layer, places)
    if not isinstance(value, dict):
        return
    if "class_name" in value or "module" in value or "registered_name" in value:
        _check_object(path, value, may_be_layer)
    if "output_layers" in value:
        _check_all_used(path, value)
    for key, item in value.items():
        if key == "compile_config" and item is not None:
            raise ValueError(f"{path}: a network must hold no model that is compiled")
        inner = frozenset() if key == "inbound_nodes" else places
        _check_config(path, item, key in inner, inner)


def _check_object(path, value, may_be_layer):
    module, name = value.get("module"), value.get("class_name")
    registered = value.get("registered_name")
    is_known = isinstance(module, str | None) and module in _ALLOWED
    names = _ALLOWED[module] if is_known else ()
    is_plain = isinstance(name, str) and (names is _ANY or name in names)
    is_function = name == "function" or str(name).startswith("__lambda")
    is_layer = is_plain and module in _OF_LAYERS and name != "DTypePolicy"
    if (
        not is_plain
        or is_function
        or registered not in (None, name)
        or (is_layer and not may_be_layer)
    ):
        raise ValueError(
            f"{path}: a network is made of plain Keras layers. Received: "
            f"{str(module)[:60]}.{str(name)[:60]}"
        )


def _check_all_used(path, functional):
    """Layers that lead nowhere would be made, and not be counted."""
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


def _check_weights(path, file):
    """Weights are numbers in this file: no links, and no more than it holds.

    Returns:
        How many there are.
    """
    sizes = []

    def fault_of_link(name, link):
        return None if isinstance(link, h5py.HardLink) else f"{name!r} are a link"

    def fault_of_item(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external or item.is_virtual or item.dtype.kind not in "biuf":
            return f"{name!r} are not plain numbers"
        if item.nbytes > item.id.get_storage_size():
            return f"{name!r} are larger than the file"
        sizes.append(item.size)
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
    return sum(sizes)
