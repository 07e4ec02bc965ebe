"""`keras-dqn export`: writes a saved network for another runtime, and checks it."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

from keras_dqn.cli import playing
from keras_dqn.cli.errors import CommandError
from keras_dqn.cli.loading import load_keras
from keras_dqn.system.exit_codes import EXIT_BROKEN

NAMES = ("saved-model", "onnx", "openvino", "litert", "torch", "keras")
PRECISIONS = ("float32", "float16", "int8")
TOLERANCE = 1e-4  # of the Q-values
_HALF_TOLERANCE = 2**-9  # of the largest |Q-value|: two units in its last place
_STEPS = 30  # random agent steps before the observations of the check
_GAMES = 8


def add_command(commands: Any) -> None:
    """Adds `export` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "export",
        description="Writes a saved network for another runtime, opens it there and "
        "compares its outputs\nwith those of Keras on observations of the environment. "
        "The environment variable\nKERAS_BACKEND chooses tensorflow, jax or torch; not "
        "every backend can write every\nformat.",
    )
    playing.add_network(parser)
    add = parser.add_argument
    add("--format", choices=NAMES, required=True, help="what to write")
    add("--out", help="file or, for saved-model, directory (default: as the network)")
    add(
        "--greedy",
        action="store_true",
        help="the output is the best action, not the Q-values",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the weights: float16 halves the file, int8 (of dense layers) makes it "
        "smaller still (default: float32)",
    )
    add("--force", action="store_true", help="replace what exists")
    parser.set_defaults(
        epsilon=None,
        seed=0,
        run=lambda namespace: playing.run(parser, namespace, _export),
    )


def _export(namespace, requests):
    load_keras()
    from keras_dqn import exporting  # here: it needs a Keras backend
    from keras_dqn.models import greedy
    from keras_dqn.models import load_network
    from keras_dqn.models.precision import with_precision

    found = exporting.check(namespace.format, namespace.precision)
    (player,) = playing.players_of(namespace)
    out = _path(namespace, player, found.suffix)
    network = load_network(player.path)
    observations = _observations(player)
    print(f"Writing {out} ...", flush=True)
    try:
        options = namespace.greedy, namespace.precision
        exporting.export(network, out, namespace.format, *options)
    except exporting.ExportError as error:
        raise CommandError(str(error), EXIT_BROKEN) from None
    if requests.stop:
        return None
    if importlib.util.find_spec(found.runtime) is None:
        return f"{out}: not checked, since {found.runtime} is not installed"
    expected = with_precision(network, namespace.precision)
    expected = greedy(expected) if namespace.greedy else expected
    expected = expected.predict_on_batch(observations)
    try:
        outputs = exporting.outputs_of(out, namespace.format, observations)
    except Exception as error:  # each runtime has its own kinds
        raise CommandError(
            f"{out} was written, but {found.runtime} cannot run it: {error}",
            EXIT_BROKEN,
        ) from None
    is_half = namespace.precision == "float16"
    tolerance = _HALF_TOLERANCE * float(abs(expected).max()) if is_half else TOLERANCE
    if namespace.greedy:
        tolerance = 0.0
    return _verdict(out, found.runtime, outputs, expected, tolerance)


def _path(namespace, player, suffix):
    """Returns the path to write, after all refusals."""
    source = pathlib.Path(player.path)
    folder = source.parent if namespace.pretrained is None else pathlib.Path()
    precision = "" if namespace.precision == "float32" else f"-{namespace.precision}"
    stem = f"{source.stem}{precision}{'' if suffix else '-saved-model'}"
    path = pathlib.Path(namespace.out or folder / f"{stem}{suffix}")
    if suffix and path.suffix != suffix:
        raise ValueError(f"`--out` must end with {suffix}. Received: {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such directory: {path.parent}")
    for file in [path] if path.is_dir() else _files(path):
        if file.exists() and not namespace.force:
            raise FileExistsError(f"{file} exists. --force replaces it")
    return path


def _observations(player):
    """Returns observations of some steps of random play, as the network takes them."""
    import numpy as np

    from keras_dqn.envs import make_envs

    rng = np.random.default_rng(0)
    with make_envs(player.env_id, _GAMES, **player.options) as envs:
        observations = envs.reset(seed=0)
        for _ in range(_STEPS):
            step = envs.step(rng.integers(envs.num_actions, size=_GAMES))
            observations = step.observations
        if envs.frame_stack:
            observations = np.moveaxis(observations, 1, -1)  # frames last
    return np.ascontiguousarray(observations)


def _verdict(out, runtime, outputs, expected, tolerance):
    """Returns the line of success.

    Raises:
        CommandError: If the outputs differ.
    """
    import numpy as np

    if outputs.shape != expected.shape:
        raise CommandError(
            f"{out} was written, but its outputs in {runtime} have another shape than "
            f"in Keras: {outputs.shape} and {expected.shape}",
            EXIT_BROKEN,
        )
    difference = float(np.abs(outputs.astype("float64") - expected).max())
    if not difference <= tolerance:  # also if it is NaN
        raise CommandError(
            f"{out} was written, but its outputs in {runtime} differ from those of "
            f"Keras by up to {difference:.2g}",
            EXIT_BROKEN,
        )
    size = sum(file.stat().st_size for file in _files(out)) / 1e6
    return (
        f"{out}: {size:.2f} MB. Its outputs in {runtime} differ from those of Keras "
        f"by at most {difference:.1g}, on {len(outputs)} observations"
    )


def _files(path):
    """Returns the files of an export: some formats keep the weights in a second one."""
    if path.is_dir():
        return [file for file in path.rglob("*") if file.is_file()]
    beside = (path.with_suffix(".bin"), path.with_name(f"{path.name}.data"))
    second = {".xml": beside[0], ".onnx": beside[1]}.get(path.suffix, path)
    return [path, second] if second != path and second.exists() else [path]
