"""`keras-dqn evaluate`: plays whole games with saved networks, on any backend."""

from __future__ import annotations

import csv
import io
import pathlib
import sys
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn import checks
from keras_dqn import protocols
from keras_dqn.cli import log_commands
from keras_dqn.cli import playing
from keras_dqn.cli import scores
from keras_dqn.cli.loading import load_keras
from keras_dqn.system import files

if TYPE_CHECKING:
    from keras_dqn.evaluation import Evaluation

TRAINING = "training"  # the rules of the training


def add_command(commands: Any) -> None:
    """Adds `evaluate` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "evaluate",
        description="Plays whole games with saved networks and prints their scores, "
        "with 95 % bootstrap\nintervals over the games. Several networks are compared "
        "in a table.\nThe environment variable KERAS_BACKEND chooses tensorflow, jax "
        "or torch.",
        epilog=_protocols(),
    )
    playing.add_arguments(parser, epsilon=None, many=True)
    parser.add_argument(
        "--protocol",
        default=TRAINING,
        metavar="NAME",
        help=f"rules of the games, see below (default: {TRAINING})",
    )
    parser.add_argument(
        "--episodes", type=int, default=30, help="games of each (default: 30)"
    )
    parser.add_argument(
        "--num-envs",
        type=int,
        help="games played at the same time (default: 8, at most --episodes)",
    )
    parser.add_argument("--csv", metavar="FILE", help="write a line for each game")
    parser.add_argument(
        "--force", action="store_true", help="replace the file of --csv if it exists"
    )
    parser.set_defaults(run=lambda namespace: playing.run(parser, namespace, _play))


def _protocols():
    """Returns the text of `--help` about protocols."""
    lines = ["protocols:", f"  {TRAINING:<10} the rules of the training; epsilon 0.05"]
    for name, protocol in protocols.PROTOCOLS.items():
        lines.append(f"  {name:<10} {protocol.about}; epsilon {protocol.epsilon:g}")
    return "\n".join(lines)


def _play(namespace, requests):
    checks.integer("episodes", namespace.episodes, minimum=1)
    if namespace.num_envs is not None:
        checks.integer("num_envs", namespace.num_envs, minimum=1)
    names = [TRAINING, *protocols.PROTOCOLS]
    checks.choice("protocol", namespace.protocol, names)
    table = _csv_path(namespace)
    load_keras()
    players = playing.players_of(namespace)
    if namespace.protocol == TRAINING and any(
        player.options != players[0].options for player in players
    ):
        print(
            "Warning: the networks were trained by different rules, and play by them. "
            "--protocol gives all the same",
            file=sys.stderr,
        )
    results = []
    for player in players:
        if len(players) > 1:
            print(f"Playing {player.name} ...", flush=True)
        result = _evaluate(namespace, player, requests)
        if result is None:
            return None
        results.append((player.name, result))
    if table is not None:
        text = _csv(namespace, results)
        files.replace(table, text.encode())
    of_games = namespace.protocol != "reference"
    if len(results) > 1:
        return scores.comparison(results, of_games)
    return scores.description(results[0][1], of_games)


def _evaluate(namespace, player, requests):
    """Plays the games of one network. Returns `Evaluation`, `None` if stopped."""
    from keras_dqn.agent import DQNAgent  # here: it needs a Keras backend
    from keras_dqn.envs import is_atari
    from keras_dqn.models import load_network
    from keras_dqn.monitor.bar import games_bar

    options, epsilon = player.options, 0.05
    if namespace.protocol != TRAINING:
        if not is_atari(player.env_id):
            raise ValueError(
                f"`--protocol` {namespace.protocol} is for Atari games. "
                f"Received: {player.env_id}"
            )
        protocol = protocols.get(namespace.protocol)
        options, epsilon = protocol.with_options(options), protocol.epsilon
    if namespace.epsilon is not None:
        epsilon = namespace.epsilon
    agent = DQNAgent(load_network(player.path))
    with games_bar() as on_game:
        return agent.evaluate(
            player.env_id,
            namespace.episodes,
            epsilon=epsilon,
            seed=namespace.seed,
            num_envs=namespace.num_envs,
            stop=lambda: requests.stop,
            on_game=on_game,
            **options,
        )


def _csv_path(namespace):
    """Returns the path of the table, or `None`. Refuses a file that exists."""
    if namespace.csv is None:
        return None
    path = pathlib.Path(namespace.csv)
    return log_commands.output(None, path, (path.suffix,), namespace.force)


def _csv(namespace, results: list[tuple[str, Evaluation]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        "network env protocol epsilon seed game score agent_steps frames".split()
    )
    for name, result in results:
        rows = zip(result.scores, result.lengths, result.frames, strict=True)
        for game, (score, length, frames) in enumerate(rows):
            rules = namespace.protocol, result.epsilon, namespace.seed
            writer.writerow(
                [name, result.env_id, *rules, game, float(score), length, frames]
            )
    return text.getvalue()
