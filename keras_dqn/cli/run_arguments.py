"""The flags and settings of new and resumed runs, for `train` and `resume`."""

from __future__ import annotations

import argparse
import datetime
import pathlib
from typing import Any

from keras_dqn.cli import options
from keras_dqn.cli.errors import CommandError
from keras_dqn.cli.parser import Parser
from keras_dqn.config import Settings
from keras_dqn.papers import PAPERS
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.system import files
from keras_dqn.system.exit_codes import EXIT_CONFIG
from keras_dqn.system.exit_codes import EXIT_IO
from keras_dqn.system.exit_codes import EXIT_USAGE
from keras_dqn.system.exit_codes import MEANINGS

EXIT_CODES = "\n".join(
    ["exit codes:", *(f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items())]
)
# Changes to the presets for `--smoke`: a run of seconds that uses every part.
_SMOKE = {
    "env_steps": 2_048,
    "replay_capacity": 1_024,
    "target_sync_env_steps": 512,
    "evaluation_episodes": 2,
    "evaluation_epsilon": 1.0,
}
SMOKE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(PAPERS, _SMOKE),
    "breakout": _SMOKE,
    "atari": _SMOKE,
    "cartpole": {
        "env_steps": 2_048,
        "evaluation_episodes": 4,
        "evaluation_interval_iterations": 4,
    },
}


def add(parser: Parser, preset: str) -> None:
    """Adds the flags of `keras-dqn train`.

    Args:
        parser: `Parser`, created with `add_help=False`.
        preset: Name of the preset that is the default.
    """
    group = parser.add_argument_group("run")
    group.add_argument(
        "--out",
        metavar="DIR",
        help="run directory; default: runs/<game>-<date>-<time>",
    )
    group.add_argument(
        "--seeds",
        metavar="N,N,...",
        help="several runs that differ in the seed, one after another, in DIR/seedN; "
        "with --resume: continue those that have begun",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out from its newest checkpoint",
    )
    add_shared(group, "with --resume: ")
    group.add_argument(
        "--smoke", action="store_true", help="a short run, to check the installation"
    )
    options.add_preset(group, preset)
    options.add_settings(parser)


def add_shared(group: Any, condition: str = "") -> None:
    """Adds the flags that new and resumed runs share.

    Args:
        group: `Parser` or a group of one.
        condition: String before the help of `--exact`.
    """
    group.add_argument(
        "--exact",
        action="store_true",
        help=f"{condition}from the newest checkpoint from which the run continues "
        "bit for bit as if it had never stopped; fail if there is none",
    )
    group.add_argument(
        "--console",
        choices=["auto", "live", "plain", "none"],
        default="auto",
        help="a live panel, plain lines, or only warnings and errors; auto: a panel on "
        "a terminal, otherwise lines",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write event files into DIR"
    )
    group.add_argument(
        "--no-evaluation",
        action="store_true",
        help="do not play whole games after the training",
    )


def settings_of(parser: Parser, namespace: argparse.Namespace, preset: str) -> Settings:
    """Returns the settings of a preset, or of the run in `--out`, with changes.

    Args:
        parser: `Parser`.
        namespace: The parsed namespace.
        preset: Name of the preset of a new run without `--preset`.

    Raises:
        SystemExit: See `options.settings_of`.
        CommandError: If flags contradict each other, or the run cannot be resumed with
            them.
    """
    if namespace.help:  # a resume's shows the defaults of the preset
        namespace.exact = namespace.resume = False
    if namespace.exact and not namespace.resume:
        raise CommandError("--exact needs --resume", EXIT_USAGE)
    if not namespace.resume:
        name = getattr(namespace, "preset", preset)
        smoke = SMOKE if namespace.smoke else None
        return options.settings_of(parser, namespace, preset=name, changes=smoke)
    given = {"--smoke": namespace.smoke, "--preset": hasattr(namespace, "preset")}
    for flag, is_given in given.items():
        if is_given:
            raise CommandError(
                f"{flag} is for new runs. --resume uses the settings of the run in "
                "--out",
                EXIT_USAGE,
            )
    from keras_dqn.runs import provenance  # here, so that `--help` is quick

    saved = _saved_settings(namespace.out)
    settings = options.settings_of(parser, namespace, saved.replace)
    changed = provenance.changed_settings(saved, settings)
    if changed:
        raise CommandError(
            "--resume can only change "
            f"{', '.join(sorted(provenance.CHANGEABLE))}. "
            f"Received: {', '.join(changed)}",
            EXIT_CONFIG,
        )
    return settings


def default_directory(settings: Settings) -> pathlib.Path:
    """Returns the path of a new run directory: `runs/<game>-<date>-<time>`."""
    game = settings.env_id.replace("/", "-").lower()
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"{game}-{now}"


def _saved_settings(out):
    """Returns the settings of the run in `out`."""
    if out is None:
        raise CommandError(
            "Name the run to continue: `keras-dqn resume DIR`, or --resume --out DIR",
            EXIT_USAGE,
        )
    path = RunDirectory(out).settings
    try:
        return Settings.from_dict(files.read_json(path))
    except (OSError, ValueError) as error:
        raise CommandError(f"Cannot continue {out}: {error}", EXIT_IO) from None
