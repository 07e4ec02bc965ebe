"""What the name of an Atari game asks for.

The same game goes by many ids, and the id says more than the game: by Gymnasium's
convention `-v5` and `-v0` repeat the previous action with a probability of 0.25
("sticky actions"), `-v4` never does. An id whose meaning cannot be honored is
refused, with the id that can.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

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
    """An Atari id, taken apart.

    Attributes:
        rom: String, what ALE calls the game: `"ms_pacman"`.
        canonical: String, what this library calls it: `"ALE/MsPacman"`.
        repeat_action_probability: Float, what the id implies.
    """

    rom: str
    canonical: str
    repeat_action_probability: float


def parse_atari_name(
    name: str, roms: Iterable[str], other_ids: Iterable[str] = ()
) -> AtariName:
    """Finds the game that `name` means.

    Args:
        name: String: `"Breakout"`, `"breakout"`, `"ALE/Breakout-v5"`,
            `"Breakout-v4"`, `"BreakoutNoFrameskip-v4"` and the like, in any case,
            with or without underscores. `-v0` and `-v4` without `NoFrameskip`
            stand for a random frame skip in Gymnasium; here the frame skip is
            always the one in the options.
        roms: The names of all games that ALE knows, in snake case.
        other_ids: Further ids, only to be suggested for a misspelled `name`.

    Returns:
        An `AtariName`.

    Raises:
        ValueError: If no such game exists, with the nearest names, or if the id
            asks for something that cannot be honored.
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
    _check_honored(name, match, rom)
    return AtariName(rom, f"ALE/{_title(rom)}", _STICKY[match["version"]])


def _title(rom):
    return rom.title().replace("_", "")


def _check_honored(name, match, rom):
    """Refuses ids that mean something else than what would be played."""
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
        f"`env` must be an id whose meaning can be honored; this one {reason}. "
        f"Use {instead!r}. Received: env={name!r}"
    )
