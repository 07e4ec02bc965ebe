"""`keras-dqn evaluate`: plays whole games with a saved network, on any backend."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

from keras_dqn import checks
from keras_dqn.cli.train import REFUSALS
from keras_dqn.envs import EnvFault
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED


def add_command(commands: Any) -> None:
    """Adds `evaluate` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "evaluate",
        help="play whole games with a saved network",
        description="Plays whole games with a saved network and prints their mean "
        "score.\nThe environment variable KERAS_BACKEND chooses tensorflow, jax or "
        "torch.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "network",
        nargs="?",
        help="a .keras file, or a run directory with network.keras",
    )
    which.add_argument(
        "--pretrained",
        metavar="NAME",
        help="a network that comes with the package: breakout",
    )
    parser.add_argument(
        "--env", help="environment to play (default: that of the training, if known)"
    )
    parser.add_argument(
        "--episodes", type=int, default=30, help="whole games (default: 30)"
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        default=0.05,
        help="probability of a random action (default: 0.05)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of games and actions (default: 0)"
    )
    parser.set_defaults(run=lambda namespace: _run(parser, namespace))


def _run(parser, namespace):
    """Plays. Returns the exit code."""
    try:
        with signals.handled(signals.COMMAND) as requests:
            result = _play(namespace, requests)
    except KeyboardInterrupt:  # the second Ctrl-C
        result = None
    except OSError as error:
        return _refuse(parser, error, EXIT_IO)
    except (EnvFault, ArithmeticError) as error:
        return _refuse(parser, error, EXIT_BROKEN)
    except REFUSALS as error:
        return _refuse(parser, error, EXIT_CONFIG)
    if result is None:
        print(f"{parser.prog}: stopped", file=sys.stderr)
        return EXIT_STOPPED
    print(result)
    return 0


def _refuse(parser, error, code):
    print(f"{parser.prog}: {error}", file=sys.stderr)
    return code


def _play(namespace, requests):
    checks.integer("episodes", namespace.episodes, minimum=1)
    checks.probability("epsilon", namespace.epsilon)
    checks.integer("seed", namespace.seed, minimum=0)
    path, env_id = _network_of(namespace)
    env_id = namespace.env or env_id
    if env_id is None:
        raise ValueError(f"`--env` must say what {path} plays. Received: no --env")
    from keras_dqn.agent import DQNAgent  # here: it needs a Keras backend
    from keras_dqn.models import load_network

    return DQNAgent(load_network(path)).evaluate(
        env_id,
        namespace.episodes,
        epsilon=namespace.epsilon,
        seed=namespace.seed,
        stop=lambda: requests.stop,
    )


def _network_of(namespace):
    """Returns the path of the network, and what it was trained in, if known."""
    if namespace.pretrained is not None:
        from keras_dqn import pretrained  # here: it needs a Keras backend

        path = pretrained.path(namespace.pretrained)
        return path, pretrained.ENV_IDS[namespace.pretrained]
    path = pathlib.Path(namespace.network)
    directory = RunDirectory(path if path.is_dir() else path.parent)
    if path.is_dir():
        path = directory.network
    env_id = None
    if directory.settings.exists():
        settings = files.read_json(directory.settings)
        env_id = settings.get("env_id") if isinstance(settings, dict) else None
    return path, env_id
