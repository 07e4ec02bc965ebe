"""Formats numbers, and the first lines that a console prints."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from keras_dqn.progress import decimals

if TYPE_CHECKING:
    from keras_dqn.monitor.info import RunInfo


DASH = "-"


def number(value: float | None, spec: str) -> str:
    """Returns `format(value, spec)`, or a dash if `value` is `None` or not finite."""
    if value is None or not math.isfinite(value):
        return DASH
    return format(value, spec)


def score(value: float | None) -> str:
    """Returns a score with two decimals, or more if it is below 1; or a dash."""
    digits = decimals(value) if value is not None and math.isfinite(value) else 2
    return number(value, f".{digits}f")


def encodable(line: str, encoding: str) -> str:
    """Returns `line` with `\\xe9` and the like for what `encoding` cannot write."""
    return line.encode(encoding, "backslashreplace").decode(encoding)


def short(value: float) -> str:
    """Returns a count in few characters: `9,500`, `16.4k`, `1.25M`, `40M`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scale = 1e3 if unit == "k" else limit
            digits = f"{value / scale:.2f}" if unit != "k" else f"{value / scale:.1f}"
            return digits.rstrip("0").rstrip(".") + unit
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Returns seconds as `0:00:07`, `3:10:22` or `2d 03:10`; a dash for `None`."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{seconds:02}"


def rough(seconds: float) -> str:
    """Returns a long time in words: `40 minutes`, `13 hours`, `9 days`."""
    for unit, name in ((86_400.0, "days"), (3_600.0, "hours")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 60:.0f} minutes"


def memory(nbytes: float) -> str:
    """Returns bytes as MiB, or as GiB from 1 GiB on."""
    if nbytes >= 2**30:
        return f"{nbytes / 2**30:.2f} GiB"
    return f"{nbytes / 2**20:.1f} MiB"


def percent(part: float, whole: float) -> str:
    """Returns text such as `43.2 %`, rounded down, so that 100 % means complete."""
    if whole <= 0:
        return DASH
    return f"{math.floor(1000 * part / whole) / 10:.1f} %"


def introduction(info: RunInfo, width: int = 80) -> list[str]:
    """Returns the first lines of a run: environment, backend, device and options.

    Args:
        info: `RunInfo`.
        width: Int, the largest number of characters in a line.

    Returns:
        List of lines, ASCII only if `info` is.
    """
    versions = dict(info.versions)
    name = " ".join(["keras_dqn", versions.pop("keras_dqn", "")]).strip()
    seed = [] if info.seed is None else [f"seed {info.seed}"]
    games = f"{info.num_envs} environment{'s' if info.num_envs > 1 else ''}"
    rows = [
        ("backend", [part for part in (info.backend, info.device) if part]),
        ("versions", [f"{key} {value}" for key, value in versions.items()]),
        ("game", [info.env_id, games, *_options(info.env_options)]),
        ("scores", [_SCORES[info.score_unit]]),
        ("replay", _replay(info)),
        ("run", [f"{info.total_env_steps:,} agent steps", *seed]),
    ]
    lines = [name]
    for title, parts in rows:
        if parts:
            lines += textwrap.wrap(
                ", ".join(part for part in parts if part),
                width=max(width, 40),
                initial_indent=f"  {title:<10}",
                subsequent_indent=" " * 12,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines


_SCORES = {
    "life": "of single lives: a lost life ends the episode and restarts the game",
    "game": "of whole games, rewards as the game gives them (not clipped)",
    "episode": "of whole episodes",
}


def _options(options):
    shown_elsewhere = ("env_id", "num_envs", "seed")
    return [
        f"{key}={value}" for key, value in options.items() if key not in shown_elsewhere
    ]


def _replay(info):
    capacity = info.settings.get("replay_capacity")
    held = [] if capacity is None else [f"{capacity:,} transitions"]
    return [f"{memory(info.replay_nbytes_when_full)} when full", *held]
