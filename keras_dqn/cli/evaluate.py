"""`keras-dqn evaluate`: plays whole games with a saved network, on any backend."""

from __future__ import annotations

from typing import Any

from keras_dqn import checks
from keras_dqn.cli import playing


def add_command(commands: Any) -> None:
    """Adds `evaluate` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "evaluate",
        help="play whole games with a saved network",
        description="Plays whole games with a saved network and prints their mean "
        "score.\nThe environment variable KERAS_BACKEND chooses tensorflow, jax or "
        "torch.",
    )
    playing.add_arguments(parser, epsilon=0.05)
    parser.add_argument(
        "--episodes", type=int, default=30, help="whole games (default: 30)"
    )
    parser.set_defaults(run=lambda namespace: playing.run(parser, namespace, _play))


def _play(namespace, requests):
    checks.integer("episodes", namespace.episodes, minimum=1)
    player = playing.player_of(namespace)
    from keras_dqn.agent import DQNAgent  # here: it needs a Keras backend
    from keras_dqn.models import load_network

    result = DQNAgent(load_network(player.path)).evaluate(
        player.env_id,
        namespace.episodes,
        epsilon=namespace.epsilon,
        seed=namespace.seed,
        stop=lambda: requests.stop,
        **player.options,
    )
    return None if result is None else str(result)
