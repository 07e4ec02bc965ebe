"""What the commands that play a saved network share: its flags, and its refusals."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from keras_dqn import checks
from keras_dqn import presets
from keras_dqn.cli.errors import CommandError
from keras_dqn.cli.options import Parser
from keras_dqn.config import Settings
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.exit_codes import EXIT_BROKEN
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_STOPPED


@dataclasses.dataclass(frozen=True)
class Player:
    """A saved network and what it plays.

    Attributes:
        name: String, as on the command line.
        path: Path of the `.keras` file.
        env_id: String, the environment.
        options: Dictionary of `make_envs`: those of the training, if it is known.
        directory: `RunDirectory` if a run directory was given, else `None`.
    """

    name: str
    path: pathlib.Path
    env_id: str
    options: dict[str, Any]
    directory: RunDirectory | None = None


def add_arguments(
    parser: argparse.ArgumentParser, epsilon: float | None, many: bool = False
) -> None:
    """Adds the flags that say which network plays what, and how.

    Args:
        parser: Parser of the command.
        epsilon: Default of `--epsilon`; `None`: it depends on the protocol.
        many: Boolean, whether several networks may be named.
    """
    add_network(parser, many)
    parser.add_argument(
        "--epsilon",
        type=float,
        default=epsilon,
        help="probability of a random action (default: "
        f"{'that of the protocol' if epsilon is None else f'{epsilon:g}'})",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of games and actions (default: 0)"
    )


def add_network(parser: argparse.ArgumentParser, many: bool = False) -> None:
    """Adds the flags that say which network, and of which environment.

    Args:
        parser: Parser of the command.
        many: Boolean, whether several networks may be named.
    """
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "network",
        nargs="*" if many else "?",
        default=[] if many else None,
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


def run(
    parser: Parser,
    namespace: argparse.Namespace,
    play: Callable[[argparse.Namespace, signals.Requests], str | None],
) -> int:
    """Plays with the parsed command line.

    Args:
        parser: Parser of the command.
        namespace: The parsed namespace.
        play: Function of the namespace and of `signals.Requests` that returns a text
            to print, or `None` if it was stopped.

    Returns:
        The exit code.
    """
    from keras_dqn.cli.running import REFUSALS  # here, so that `--help` is quick
    from keras_dqn.envs import EnvFault

    try:
        with signals.handled(signals.COMMAND) as requests:
            text = play(namespace, requests)
    except KeyboardInterrupt:  # the second Ctrl-C
        text = None
    except CommandError as error:
        return _refuse(parser, error, error.code)
    except OSError as error:
        return _refuse(parser, error, EXIT_IO)
    except (EnvFault, ArithmeticError) as error:
        return _refuse(parser, error, EXIT_BROKEN)
    except REFUSALS as error:
        return _refuse(parser, error, EXIT_CONFIG)
    if text is None:
        print(f"{parser.prog}: stopped", file=sys.stderr)
        return EXIT_STOPPED
    print(text)
    return 0


def players_of(namespace: argparse.Namespace) -> list[Player]:
    """Returns the networks that the command line names, and what they play.

    Raises:
        ValueError: If it is not known what one plays, or a flag is out of range.
        OSError: If a file of a run cannot be read.
    """
    if namespace.epsilon is not None:
        checks.probability("epsilon", namespace.epsilon)
    checks.integer("seed", namespace.seed, minimum=0)
    if namespace.pretrained is not None:
        from keras_dqn import pretrained  # here: it needs a Keras backend

        path = pretrained.path(namespace.pretrained)
        env_id = pretrained.ENV_IDS[namespace.pretrained]
        return [Player(namespace.pretrained, path, namespace.env or env_id, {})]
    given = namespace.network
    names = given if isinstance(given, list) else [given]
    return [_player_of(name, namespace) for name in names]


def _player_of(name, namespace):
    path = pathlib.Path(name)
    directory = RunDirectory(path if path.is_dir() else path.parent)
    given = directory if path.is_dir() else None
    path = directory.network if path.is_dir() else path
    settings = _settings_of(directory, namespace.env is not None)
    if settings is None:
        if namespace.env is None:
            raise ValueError(f"`--env` must say what {path} plays. Received: no --env")
        return Player(name, path, namespace.env, {}, given)
    if namespace.env is not None and not _is_same(namespace.env, settings.env_id):
        return Player(name, path, namespace.env, {}, given)
    options = presets.env_options(settings)
    options.pop("life_loss", None)  # whole games
    return Player(name, path, settings.env_id, options, given)


def _settings_of(directory, has_env):
    """Returns the `Settings` of a run, or `None` if there are none.

    With `--env`, settings that cannot be read are none.
    """
    if not directory.settings.exists():
        return None
    try:
        return Settings.from_dict(files.read_json(directory.settings))
    except (OSError, ValueError):
        if has_env:
            return None
        raise


def _is_same(env, other):
    """Whether two names stand for the same game: `Breakout` and `ALE/Breakout`."""
    return env.removeprefix("ALE/") == other.removeprefix("ALE/")


def _refuse(parser, error, code):
    print(f"{parser.prog}: {error}", file=sys.stderr)
    return code
