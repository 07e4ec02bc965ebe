"""`keras-dqn record`: films a game of a saved network, as MP4 and GIF."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

from keras_dqn import checks
from keras_dqn.cli import log_commands
from keras_dqn.cli import playing
from keras_dqn.cli.loading import load_keras

NEEDS = ("PIL", "imageio_ffmpeg")
SUFFIXES = (".mp4", ".gif")
GIF_SCALE = 1  # GIFs are for documents, and large


def add_command(commands: Any) -> None:
    """Adds `record` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "record",
        description="Films a game of a saved network: the screen, and beside it what "
        "the network\nsees and computes. Writes video.mp4 and video.gif into the run "
        "directory, or the\ncurrent one. Needs: pip install 'keras_dqn[video]'\nThe "
        "environment variable KERAS_BACKEND chooses tensorflow, jax or torch.",
    )
    playing.add_arguments(parser, epsilon=0.01)
    add = parser.add_argument
    add(
        "--out",
        help="file to write, .mp4 or .gif; without a suffix both. A GIF of a long game "
        "takes 0.3 MB of memory for each frame",
    )
    add("--force", action="store_true", help="replace files that exist")
    add(
        "--best-of",
        type=int,
        default=1,
        metavar="N",
        help="games to play; the one with the highest score is filmed (default: 1)",
    )
    add("--start", type=float, default=0.0, help="first second (default: 0)")
    add(
        "--seconds",
        type=float,
        help="length of the video in seconds (default: the whole game)",
    )
    add(
        "--scale",
        type=int,
        default=2,
        help="of the MP4; 1 is the size of a GIF, 668 x 420 on Atari (default: 2)",
    )
    add(
        "--screen-only", action="store_true", help="leave out what the network computes"
    )
    add(
        "--saliency",
        action="store_true",
        help="mark in red what the largest Q-value depends on (its gradient)",
    )
    parser.set_defaults(run=lambda namespace: playing.run(parser, namespace, _record))


def _record(namespace, requests):
    _check(namespace)
    load_keras()
    (player,) = playing.players_of(namespace)
    paths = _paths(namespace, player)
    game, frames_per_second, saliency = _play(namespace, player, requests)
    if game is None:
        return None
    from keras_dqn.video.drawing import Drawing  # here: it needs the extra
    from keras_dqn.video.drawing import Frames

    span = _span(namespace, game, frames_per_second)
    for path in paths:
        print(f"Writing {path} ...", flush=True)
        scale = GIF_SCALE if path.suffix == ".gif" else namespace.scale
        drawing = Drawing(game, scale, not namespace.screen_only, saliency)
        frames = Frames(drawing, span, lambda: requests.stop)
        if not _write(path, frames, drawing.size, frames_per_second):
            return None
    names = " and ".join(str(path) for path in paths)
    count = span[1] - span[0]
    return f"{game.env_id}: score {game.score:g}, {count:,} frames in {names}"


def _span(namespace, game, frames_per_second):
    """Returns the numbers of the first frame and of that after the last."""
    first, end = round(namespace.start * frames_per_second), len(game.moments)
    if first >= end:
        raise ValueError(
            "`--start` must be before the end of the game, which has "
            f"{end / frames_per_second:.1f} seconds. "
            f"Received: --start {namespace.start:g}"
        )
    if namespace.seconds is None:
        return first, end
    return first, min(end, first + max(1, round(namespace.seconds * frames_per_second)))


def _check(namespace):
    checks.integer("best_of", namespace.best_of, minimum=1)
    checks.integer("scale", namespace.scale, minimum=1, maximum=8)
    checks.number("start", namespace.start, minimum=0.0)
    if namespace.saliency and namespace.screen_only:
        raise ValueError("`--saliency` is drawn beside the screen: no --screen-only")
    if namespace.seconds is not None:
        checks.number("seconds", namespace.seconds, above=0.0)
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if not missing and not str(namespace.out).endswith(".gif"):
        import imageio_ffmpeg

        try:
            imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise ImportError(f"An MP4 needs ffmpeg: {error}. --out a.gif") from None
    if missing:
        raise ImportError(
            "`keras-dqn record` needs pip install 'keras_dqn[video]'. Not installed: "
            + ", ".join(missing)
        )


def _paths(namespace, player):
    """Returns the files to write. Refuses those that exist."""
    if namespace.out is None:
        folder = pathlib.Path() if player.directory is None else player.directory.path
        stem = folder / "video"
    else:
        stem = pathlib.Path(namespace.out)
    paths = [stem] if stem.suffix else [stem.with_suffix(s) for s in SUFFIXES]
    return [
        log_commands.output(None, path, SUFFIXES, namespace.force) for path in paths
    ]


def _play(namespace, player, requests):
    """Returns the `Game`, `None` if it was stopped; frames per second; saliency."""
    from keras_dqn.envs.screens import make_filmed_envs
    from keras_dqn.envs.screens import make_screens
    from keras_dqn.models import load_network  # these need a Keras backend
    from keras_dqn.models.checking import check_fits
    from keras_dqn.video import recording
    from keras_dqn.video.streams import outputs_of
    from keras_dqn.video.streams import saliency_of

    network = load_network(player.path)
    with make_filmed_envs(player.env_id, **player.options) as envs:
        check_fits(network, envs)
        shape = envs.observation_shape
        if namespace.saliency and (len(shape) != 3 or shape[-1] == 3):
            raise ValueError(
                "`--saliency` is for observations of gray frames. "
                f"Received: {envs.env_id} with observations of shape {shape}"
            )
        with make_screens(envs) as screens:
            game = recording.best_of(
                namespace.best_of,
                outputs_of(network),
                envs,
                screens,
                namespace.epsilon,
                namespace.seed,
                on_game=lambda number, game: print(
                    f"Game {number + 1} of {namespace.best_of}: score {game.score:g}",
                    flush=True,
                ),
                stop=lambda: requests.stop,
            )
    saliency = saliency_of(network) if namespace.saliency else None
    return game, screens.frames_per_second, saliency


def _write(path, frames, size, frames_per_second):
    """Writes one file. Returns whether it was not stopped."""
    from keras_dqn.video import files

    try:
        if path.suffix == ".gif":
            files.write_gif(path, frames, frames_per_second)
        else:
            files.write_mp4(path, frames, size, frames_per_second)
    except InterruptedError:
        return False
    return True
