"""`keras-dqn envs`: the Atari games, and the actions of one."""

from __future__ import annotations

import sys
from typing import Any

from keras_dqn.cli import playing


def add_command(commands: Any) -> None:
    """Adds `envs` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "envs",
        description="Lists the Atari games. With a name: its actions, observations and "
        "options. Any\nGymnasium environment with discrete actions can be named.",
    )
    parser.add_argument("env", nargs="?", help="a game, such as Breakout, or an id")
    parser.set_defaults(
        run=lambda namespace: playing.run(
            parser, namespace, lambda namespace, requests: _text(namespace.env)
        )
    )


def _text(env):
    return _games() if env is None else _description(env)


def _games():
    """Returns the names of all games, in columns."""
    import io

    from rich.columns import Columns
    from rich.console import Console

    from keras_dqn.envs.names import games

    text = io.StringIO()
    names = games()
    width = Console().width if sys.stdout.isatty() else 80
    Console(file=text, width=width).print(Columns(names, column_first=True))
    return (
        f"{text.getvalue().rstrip()}\n\n{len(names)} Atari games. "
        "`keras-dqn envs Breakout` shows the actions of one."
    )


def _description(env):
    """Returns what an environment is made of."""
    from keras_dqn import protocols
    from keras_dqn.envs import make_envs

    with make_envs(env) as envs:
        actions = f"{envs.num_actions}, without names"
        if envs.action_meanings is not None:
            names = enumerate(envs.action_meanings)
            actions = ", ".join(f"{number} {name}" for number, name in names)
        lines = [
            ("environment", envs.env_id),
            ("actions", actions),
            ("observations", f"{envs.observation_shape}, {envs.observation_dtype}"),
        ]
        hidden = ("env_id", "num_envs", "seed", "num_threads")
        options = {k: v for k, v in envs.options.items() if k not in hidden}
        lines.append(("options", ", ".join(f"{k}={v}" for k, v in options.items())))
    scores = protocols.published(envs.env_id)
    if scores is not None:
        random, human = scores
        lines.append(("scores", f"{random:g} of a random player, {human:g} of a human"))
    return "\n".join(f"{name:<14}{value}" for name, value in lines)
