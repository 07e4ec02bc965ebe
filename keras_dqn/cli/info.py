"""`keras-dqn info`: what is in a run, a checkpoint or a saved network."""

from __future__ import annotations

import pathlib
import shlex
from typing import Any

from keras_dqn.checkpoint.manifest import NewerFormat
from keras_dqn.checkpoint.reading import Checkpoint
from keras_dqn.cli import log_commands
from keras_dqn.cli.command_line import train_command
from keras_dqn.report import tables
from keras_dqn.report.differences import nearest_preset
from keras_dqn.runs.directory import RunDirectory

_WIDTH = 24  # of the names


def add_command(commands: Any) -> None:
    """Adds `info` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "info",
        description="Shows what is in a run directory, a checkpoint or a .keras file. "
        "Nothing is changed.",
    )
    parser.add_argument(
        "path", help="run directory, checkpoint directory or .keras file"
    )
    parser.set_defaults(
        run=lambda namespace: log_commands.run(parser, namespace, _show)
    )


def _show(namespace):
    path = pathlib.Path(namespace.path)
    if path.suffix == ".keras":
        lines = _network_lines(path)
    elif (path / "manifest.json").is_file():
        lines = _checkpoint_lines(path)
    else:
        lines = _run_lines(path)
    for name, value in lines:
        print(f"{name:<{_WIDTH}}{value}".rstrip())


def _run_lines(path):
    """Returns names and values of a run."""
    (log,) = log_commands.read_runs([str(path)])
    lines = [("run", str(path)), ("", tables.subtitle(log)), *tables.tiles(log)]
    settings = tables.settings_of(log)
    if settings is not None:
        lines.append(("made by", train_command(*nearest_preset(settings), log.backend)))
    if not path.is_dir():
        return lines
    directory = RunDirectory(path)
    for file in (directory.network, directory.best_network):
        if file.is_file():
            lines.append((file.name, _megabytes(file.stat().st_size)))
    for found in sorted(directory.checkpoints.glob("checkpoint-*")):
        lines.append((_steps(found), _state(found)))
    prefix = f"KERAS_BACKEND={log.backend} " if log.backend else ""
    resume = f"{prefix}keras-dqn resume {shlex.quote(str(path))}"
    lines.append(("continue with", resume))
    return lines


def _steps(path):
    """Returns the agent steps in the name of a checkpoint as a name for its line."""
    digits = path.name.split("-")[1]
    return f"checkpoint {int(digits):,}" if digits.isdigit() else path.name


def _state(path):
    """Returns in a few words whether a checkpoint is complete."""
    found = _checkpoint(path)
    try:
        body = found.check()
        kind = "exact" if found.meta().get("exact") else "not exact"
    except (OSError, ValueError, NewerFormat) as error:
        return f"damaged: {error}"
    own = sum(part["bytes"] for part in body["parts"].values())
    return f"complete, {kind}, {_megabytes(own)} and shared segments"


def _checkpoint_lines(path):
    """Returns names and values of a checkpoint. The digests are not checked."""
    found = _checkpoint(path)
    try:
        body, meta = found.check(), found.meta()
    except NewerFormat as error:
        raise ValueError(f"{path}: {error}") from None
    lines = [("checkpoint", str(path)), ("state", _state(path))]
    for name, part in body["parts"].items():
        lines.append((f"part {name}", _megabytes(part["bytes"])))
    simple = {k: v for k, v in meta.items() if isinstance(v, int | float | str)}
    return [*lines, *((name, str(value)) for name, value in sorted(simple.items()))]


def _checkpoint(path):
    return Checkpoint(path, path.parent / "segments")


def _network_lines(path):
    """Returns names and values of a saved network."""
    from keras_dqn.models import load_network  # here: it needs a Keras backend

    network = load_network(path)
    (inputs,) = network.inputs
    lines = [
        ("network", str(path)),
        ("name", network.name),
        ("input", f"{inputs.shape[1:]}, {inputs.dtype}"),
        ("Q-values", str(network.output_shape[-1])),
        ("parameters", f"{network.count_params():,}"),
        ("file", _megabytes(path.stat().st_size)),
    ]
    for layer in network.layers:
        if layer.weights:
            kind = f"{type(layer).__name__}, {layer.output.shape[1:]}"
            policy = layer.dtype_policy.name
            lines.append((f"  {layer.name}", f"{kind}, {policy}"))
    return lines


def _megabytes(count):
    return f"{count / 1e6:,.1f} MB"
