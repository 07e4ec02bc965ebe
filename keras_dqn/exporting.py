"""Exports networks for other runtimes, with Keras's `Model.export`.

| format | file | opened by |
| --- | --- | --- |
| `saved-model` | a directory | TensorFlow, TensorFlow Serving |
| `onnx` | `.onnx` | ONNX Runtime and others |
| `openvino` | `.xml`, weights in `.bin` | OpenVINO |
| `litert` | `.tflite` | LiteRT (TensorFlow Lite), on phones and small devices |
| `torch` | `.pt2` | `torch.export.load` |
| `keras` | `.keras` | Keras, on each backend |

Which backend can export what is in `FORMATS`. A `.keras` file opens on each of them, so
a network that was trained on one backend can be exported on another.

Reference:
    - [Keras, model export](https://keras.io/api/models/model_saving_apis/export/)
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_dqn import checks
from keras_dqn.models import greedy as greedy_network
from keras_dqn.models import load_network
from keras_dqn.models.precision import with_precision

_BACKENDS = ("tensorflow", "jax", "torch")
_BOTH = ("float16", "int8")


def _run_saved_model(path, observations):
    from keras_dqn.backend.tensorflow import exported  # here: it imports TensorFlow

    return exported.run_saved_model(path, observations)


def _run_onnx(path, observations):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: observations})[0]


def _run_openvino(path, observations):
    import openvino

    # By default OpenVINO rounds to bfloat16 where the processor has it.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.compile_model(path, "CPU", exact)(observations)[0]


def _run_litert(path, observations):
    from keras_dqn.backend.tensorflow import exported  # here: it imports TensorFlow

    return exported.run_litert(path, observations)


def _run_torch(path, observations):
    from keras_dqn.backend.torch import exported  # here: it imports PyTorch

    return exported.run(path, observations)


def _run_keras(path, observations):
    return load_network(path).predict_on_batch(observations)


class ExportError(RuntimeError):
    """Keras could not export a network."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A format for other runtimes.

    Attributes:
        keras_name: String, what Keras calls it.
        suffix: String, how the file's name ends; `""` for a directory.
        needs: Dictionary from backends that can export to the modules they need.
        runtime: String, the module that opens the file.
        run: Function of the path and of NumPy observations that returns the outputs.
        precisions: Dictionary from backends to the precisions besides float32 that the
            runtime computes as Keras does, see `models.precision`.
    """

    keras_name: str
    suffix: str
    needs: Mapping[str, tuple[str, ...]]
    runtime: str
    run: Callable[[str, np.ndarray], Any]
    precisions: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


FORMATS = {
    "saved-model": Format(
        "tf_saved_model",
        "",
        {"tensorflow": (), "jax": ("tensorflow",)},
        "tensorflow",
        _run_saved_model,
        {"tensorflow": _BOTH, "jax": _BOTH},
    ),
    "onnx": Format(
        "onnx",
        ".onnx",
        {
            "tensorflow": ("tf2onnx", "onnx"),
            "jax": ("jax2onnx", "onnx"),
            "torch": ("onnx", "onnxscript"),
        },
        "onnxruntime",
        _run_onnx,
        {"tensorflow": _BOTH, "jax": ("int8",), "torch": ("float16",)},
    ),
    "openvino": Format(
        "openvino",
        ".xml",
        {"tensorflow": ("openvino",), "torch": ("openvino",)},
        "openvino",
        _run_openvino,
        {"tensorflow": ("float16",), "torch": ("float16",)},
    ),
    "litert": Format(
        "litert", ".tflite", {"tensorflow": ()}, "tensorflow", _run_litert
    ),
    "torch": Format(
        "torch", ".pt2", {"torch": ()}, "torch", _run_torch, {"torch": _BOTH}
    ),
    "keras": Format(
        "",  # `Model.save`
        ".keras",
        dict.fromkeys(_BACKENDS, ()),
        "keras",
        _run_keras,
        dict.fromkeys(_BACKENDS, _BOTH),
    ),
}


def check(format: str, precision: str = "float32") -> Format:
    """Returns a `Format` if the current backend can export it.

    Args:
        format: String, a key of `FORMATS`.
        precision: String, see `models.precision.with_precision`.

    Raises:
        ValueError: If there is no such format, or the backend cannot export it in this
            precision.
        ImportError: If a module is missing.
    """
    found = FORMATS[checks.choice("format", format, FORMATS)]
    backend = keras.config.backend()
    if backend not in found.needs:
        others = " or ".join(f"KERAS_BACKEND={name}" for name in found.needs)
        raise ValueError(
            f"`format` {format!r} cannot be exported on {backend}. Use {others}: a "
            ".keras file opens on every backend"
        )
    if precision not in ("float32", *found.precisions.get(backend, ())):
        able = [name for name, can in found.precisions.items() if precision in can]
        use = " or ".join(f"KERAS_BACKEND={name}" for name in able)
        raise ValueError(
            f"`format` {format!r} cannot be exported in {precision} on {backend}. Use "
            f"{use or 'float32, or another format'}"
        )
    missing = [
        name for name in found.needs[backend] if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ImportError(
            f"`format` {format!r} on {backend} needs: pip install {' '.join(missing)}"
        )
    return found


def export(
    network: keras.Model,
    path: str | os.PathLike[str],
    format: str,
    greedy: bool = False,
    precision: str = "float32",
) -> None:
    """Writes a network for another runtime.

    The batch size stays free, and the input keeps its dtype. In float32, layers with
    mixed precision compute in float32, too: not every runtime has bfloat16.

    Args:
        network: Functional or Sequential `keras.Model` with one input and one output,
            the Q-values `(batch, num_actions)`.
        path: Path of the file, or of the directory of a `"saved-model"`. What exists
            there is replaced when the export is complete.
        format: String, a key of `FORMATS`.
        greedy: Boolean, whether the output is the action of the largest Q-value, int32
            `(batch,)`.
        precision: String, see `models.precision.with_precision`.

    Raises:
        ValueError: If there is no such format, the backend cannot export it in this
            precision, `path` has another suffix, or `network` has several inputs.
        ImportError: If a module is missing.
        ExportError: If Keras fails.
        OSError: If the files cannot be written, see also `check_replaceable`.
    """
    found, path = check(format, precision), pathlib.Path(path)
    if found.suffix and path.suffix != found.suffix:
        rule = f"must end with {found.suffix}"
        raise ValueError(f"`path` of {format!r} {rule}. Received: {path}")
    check_replaceable(path, format)
    options = {}
    if format == "torch":
        from keras_dqn.backend.torch import exported  # here: it imports PyTorch

        options = exported.options()
    if len(network.inputs) != 1:
        raise ValueError(
            "`network` must have one input. Keras's own `Model.export` writes any "
            f"network. Received: {len(network.inputs)} inputs"
        )
    model = with_precision(network, precision)
    model = greedy_network(model) if greedy else model
    model(np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype))  # for ONNX
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as folder:
        new = pathlib.Path(folder) / path.name
        try:
            if found.keras_name:
                name = found.keras_name
                model.export(str(new), format=name, verbose=False, **options)
            else:
                model.save(new)
        except OSError:
            raise
        except Exception as error:
            message = f"Keras could not write {format!r} on {keras.config.backend()}"
            raise ExportError(f"{message}: {error}") from error
        if format == "onnx":
            _join(new)
        for file in sorted(pathlib.Path(folder).iterdir()):
            target = path.parent / file.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(file, target)


def _join(path):
    """Moves the weights that JAX writes beside an ONNX file into it.

    ONNX Runtime Web does not find a second file. More than a gigabyte stays there: one
    ONNX file holds at most two.
    """
    beside = path.with_name(f"{path.name}.data")
    if beside.exists() and beside.stat().st_size < 2**30:
        import onnx

        onnx.save(onnx.load(path), path)
        beside.unlink()


def check_replaceable(path: pathlib.Path, format: str) -> None:
    """Refuses a path at which something else than an older export would be lost.

    Args:
        path: Path that is to be written.
        format: String, a key of `FORMATS`.

    Raises:
        FileExistsError: If it is a directory that holds no SavedModel alone, or a file
            where a directory is to be written.
    """
    is_directory = not FORMATS[format].suffix
    if path.name in ("", ".."):
        raise FileExistsError(f"`path` must end with a name. Received: path={path}")
    if path.is_dir():
        known = {"saved_model.pb", "variables", "assets", "fingerprint.pb"}
        names = {file.name for file in path.iterdir()}
        if is_directory and "saved_model.pb" in names and names <= known:
            return
        rule = "must be new, or hold an older export and nothing else"
        raise FileExistsError(f"`path` {rule}. Received: path={path}, a directory")
    if is_directory and path.exists():
        rule = f"must be a directory for {format!r}"
        raise FileExistsError(f"`path` {rule}. Received: path={path}, a file")


def outputs_of(
    path: str | os.PathLike[str], format: str, observations: np.ndarray
) -> np.ndarray:
    """Opens an exported file in its own runtime and computes its outputs.

    Args:
        path: Path that `export` wrote.
        format: String, a key of `FORMATS`.
        observations: NumPy array, `(batch, ...)`, with the dtype of the network's
            input.

    Returns:
        NumPy array, `(batch, num_actions)` or `(batch,)`.

    Raises:
        ImportError: If the runtime is not installed.
    """
    found = FORMATS[checks.choice("format", format, FORMATS)]
    return np.asarray(found.run(str(path), observations))
