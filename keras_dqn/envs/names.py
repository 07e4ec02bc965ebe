"""The ids of Atari games.

A game has several ids, which differ in their options. By Gymnasium's convention, `-v5`
and `-v0` repeat the previous action with a probability of 0.25 ("sticky actions"), and
`-v4` never does. If an id stands for options that `AtariEnvs` does not support, the
error names another id.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import gymnasium

from keras_dqn import checks

# Cartridges that need a second player.
_TWO_PLAYERS = frozenset({"combat", "joust", "maze_craze", "warlords"})

_STICKY = {"0": 0.25, "4": 0.0, "5": 0.25, None: 0.0}

_ID = re.compile(
    r"(?P<namespace>ALE/)?"
    r"(?P<game>[A-Za-z0-9_]+?)"
    r"(?P<ram>-ram)?"
    r"(?P<kind>NoFrameskip|Deterministic)?"
    r"(-v(?P<version>\d+))?",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class AtariName:
    """The game and the options that an Atari id stands for.

    Attributes:
        rom: String, ALE's name of the game: `"ms_pacman"`.
        canonical: String, this library's name of the game: `"ALE/MsPacman"`.
        repeat_action_probability: Float, 0.25 for ids with sticky actions, else 0.
    """

    rom: str
    canonical: str
    repeat_action_probability: float


def parse_atari_name(
    name: str, roms: Iterable[str], other_ids: Iterable[str] = ()
) -> AtariName:
    """Finds the game that `name` stands for.

    Args:
        name: String: `"Breakout"`, `"breakout"`, `"ALE/Breakout-v5"`,
            `"Breakout-v4"`, `"BreakoutNoFrameskip-v4"` and the like, in any case,
            with or without underscores. `-v0` and `-v4` without `NoFrameskip`
            stand for a random frame skip in Gymnasium; here the frame skip is
            always the one in the options.
        roms: The names of all games that ALE knows, in snake case.
        other_ids: Further ids to suggest for a misspelled `name`.

    Returns:
        An `AtariName`.

    Raises:
        ValueError: If no such game exists, or if `AtariEnvs` does not support what
            the id stands for.
    """
    match = _ID.fullmatch(name)
    by_key = {rom.replace("_", ""): rom for rom in roms}
    key = match["game"].lower().replace("_", "") if match else None
    if match is None or key not in by_key:
        titles = [_title(rom) for rom in by_key.values()]
        word = match["game"] if match else name
        hint = checks.did_you_mean(word, [*titles, *other_ids], count=3)
        raise ValueError(
            f"`env` must be an Atari game or a registered Gymnasium id.{hint} "
            f"Received: env={name!r}"
        )
    rom = by_key[key]
    _check_supported(name, match, rom)
    return AtariName(rom, f"ALE/{_title(rom)}", _STICKY[match["version"]])


def games() -> list[str]:
    """Returns the names of all games for one player whose ROM is installed.

    Raises:
        ImportError: If ALE is not installed.
    """
    from ale_py import roms

    ids = set(roms.get_all_rom_ids()) - _TWO_PLAYERS
    return sorted(_title(rom) for rom in ids if roms.get_rom_path(rom) is not None)


def is_made_by_ale(spec: Any) -> bool:
    """Whether a Gymnasium `EnvSpec` is of an ALE environment."""
    return str(spec.entry_point).startswith("ale_py")


def find_game(env: str) -> tuple[AtariName, pathlib.Path, str]:
    """Finds the game that `env` names, and its ROM.

    Returns:
        The `AtariName`, the `pathlib.Path` of the ROM, and ALE's version.

    Raises:
        ImportError: If ALE is not installed.
        TypeError: If `env` is not a string.
        ValueError: If the game is unknown, or its ROM is missing or damaged.
    """
    try:
        import ale_py
        from ale_py import roms
    except ImportError as error:
        raise ImportError(
            f"Atari games need ALE: pip install 'gymnasium[atari]'. Received: {env=}"
        ) from error
    if not isinstance(env, str):
        raise TypeError(f"`env` must be a string. Received: {env=}")
    others = [id for id, spec in gymnasium.registry.items() if not is_made_by_ale(spec)]
    name = parse_atari_name(env, roms.get_all_rom_ids(), others)
    try:
        path = roms.get_rom_path(name.rom)
    except OSError as error:
        raise ValueError(
            f"`env` must be a game whose ROM is installed and intact ({error}). ROMs "
            "come with ALE: pip install --force-reinstall ale-py, and unset the "
            f"environment variable ALE_ROMS_DIR if it is set. Received: {env=}"
        ) from error
    return name, path, ale_py.__version__


def _title(rom):
    return rom.title().replace("_", "")


def _check_supported(name, match, rom):
    """Raises `ValueError` for ids of options that `AtariEnvs` does not support."""
    kind, version = (match["kind"] or "").lower(), match["version"]
    if rom in _TWO_PLAYERS:
        reason, instead = "needs two players", "Breakout"
    elif match["ram"]:
        reason = "observes the console's memory, not its screen"
        instead = f"{_title(rom)}NoFrameskip-v4"
    elif kind == "deterministic":
        reason = "skips frames without the maximum over the last two"
        instead = f"{_title(rom)}NoFrameskip-v4"
    elif version not in _STICKY or (version == "5" and kind):
        reason, instead = "does not exist", f"ALE/{_title(rom)}-v5"
    elif match["namespace"] and (kind or version not in ("5", None)):
        reason, instead = "does not exist", f"ALE/{_title(rom)}-v5"
    else:
        return
    raise ValueError(
        f"`env` must be an Atari id that is supported here; this id {reason}. "
        f"Use {instead!r}. Received: env={name!r}"
    )
