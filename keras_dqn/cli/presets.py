"""`keras-dqn presets`: what there is to start from, and how two of them differ."""

from __future__ import annotations

from typing import Any

OURS = {
    "breakout": "the reference implementation's run on Breakout, 40 million steps",
    "atari": "any Atari game, for runs of hours",
    "cartpole": "CartPole-v1 in minutes",
}


def add_command(commands: Any) -> None:
    """Adds `presets` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "presets",
        description="Lists the presets of `keras-dqn train --preset`. With two or more "
        "names: the settings in which they\ndiffer, side by side. With one: how it "
        "differs from `breakout`, the defaults.",
    )
    parser.add_argument("preset", nargs="*", help="names of presets")
    parser.set_defaults(run=lambda namespace: _run(parser, namespace))


def _run(parser, namespace):
    from keras_dqn import presets
    from keras_dqn.config import SettingsError

    names = namespace.preset
    try:
        for name in names:
            presets.get(name)
    except SettingsError as error:
        parser.error(str(error))
    if not names:
        print(_listing())
    else:
        print(differences(names if len(names) > 1 else ["breakout", *names]))
    return 0


def _listing():
    from keras_dqn.papers import PAPERS

    rows = [(name, title, "") for name, title in OURS.items()]
    rows += [(name, each.title, each.source) for name, each in PAPERS.items()]
    lines = []
    for name, title, source in rows:
        lines.append(f"{name:<13}{title}")
        if source:
            lines.append(f"{'':<13}{source}")
    return "\n".join(
        [*lines, "", "`keras-dqn presets atari c51` shows how two differ."]
    )


def differences(names: list[str]) -> str:
    """Returns a table of the settings in which presets differ."""
    from keras_dqn import presets
    from keras_dqn.config import FIELDS

    chosen = [presets.get(name)() for name in names]
    rows = [["setting", *names]]
    for field in FIELDS:
        values = [getattr(settings, field) for settings in chosen]
        if any(value != values[0] for value in values):
            rows.append([field, *map(_text, values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        .rstrip()
        for row in rows
    )  # fmt: skip


def _text(value):
    if isinstance(value, tuple):
        return " ".join(f"{x:,}:{y:g}" for x, y in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else value
