"""`keras-dqn play`: shows a saved network playing, in a window or in the terminal."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Any

from keras_dqn import checks
from keras_dqn.cli import playing
from keras_dqn.cli.loading import load_keras

PLACES = ("auto", "window", "terminal")


def add_command(commands: Any) -> None:
    """Adds `play` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "play",
        description="Shows games of a saved network in a window, or in the terminal "
        "where there is no\ndisplay. Ctrl-C ends. Needs: pip install "
        "'keras_dqn[video]'\nThe environment variable KERAS_BACKEND chooses "
        "tensorflow, jax or torch.",
    )
    playing.add_arguments(parser, epsilon=0.01)
    parser.add_argument("--games", type=int, default=1, help="games (default: 1)")
    parser.add_argument(
        "--in",
        dest="place",
        default="auto",
        choices=PLACES,
        help="auto: a window if there is a display, otherwise the terminal",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="1 is the speed of the console (default: 1)",
    )
    parser.set_defaults(run=lambda namespace: playing.run(parser, namespace, _play))


def _play(namespace, requests):
    checks.integer("games", namespace.games, minimum=1)
    checks.number("speed", namespace.speed, above=0.0)
    if importlib.util.find_spec("PIL") is None:
        raise ImportError("`keras-dqn play` needs pip install 'keras_dqn[video]'")
    load_keras()
    (player,) = playing.players_of(namespace)
    from keras_dqn.envs.screens import make_filmed_envs
    from keras_dqn.envs.screens import make_screens
    from keras_dqn.models import load_network  # these need a Keras backend
    from keras_dqn.models.checking import check_fits
    from keras_dqn.video.streams import outputs_of

    network = load_network(player.path)
    with contextlib.ExitStack() as stack:
        envs = stack.enter_context(make_filmed_envs(player.env_id, **player.options))
        check_fits(network, envs)
        screens = stack.enter_context(make_screens(envs))
        rate = screens.frames_per_second * namespace.speed
        view = stack.enter_context(_view(namespace.place, rate, envs.env_id))
        scores = _show(namespace, outputs_of(network), envs, screens, view, requests)
    if scores is None:
        return None
    return f"{envs.env_id}: score " + ", ".join(f"{score:g}" for score in scores)


def _show(namespace, outputs, envs, screens, view, requests):
    """Shows the games. Returns their scores, or `None` if it was stopped."""
    from keras_dqn.video import recording

    names, scores = recording.action_names(envs), []
    for number in range(namespace.games):
        game = recording.play(
            outputs, envs, screens, namespace.epsilon, namespace.seed + number
        )
        score = 0.0
        for step, moment in enumerate(game):
            if requests.stop:
                return None
            score = moment.score + moment.reward
            q_value = moment.outputs.q_values[0].max()
            view.show(
                moment.screen.array(),
                f"{envs.env_id}  score {score:g}  step {step:,}  "
                f"{names[moment.action].lower()}  Q {q_value:.3f}",
            )
        scores.append(score)
    return scores


def _view(place, frames_per_second, title):
    """Returns a window or a terminal to show frames in."""
    from keras_dqn.video.terminal import Terminal

    if place == "terminal":
        return Terminal(frames_per_second)
    from keras_dqn.video.window import Window

    try:
        return Window(frames_per_second, title)
    except (ImportError, RuntimeError) as error:
        if place == "window":
            raise ValueError(f"No window can be opened: {error}") from None
    return Terminal(frames_per_second)
