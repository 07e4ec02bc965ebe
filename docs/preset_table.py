"""Rewrites the table of presets in `docs/settings.md` from `keras_dqn.config`.

    python docs/preset_table.py

The table keeps its rows (the settings); values and meanings are read from the code.
"""

import pathlib
import re

from keras_dqn import presets
from keras_dqn.config import FIELDS

PAGE = pathlib.Path(__file__).resolve().parent / "settings.md"
TABLE = re.compile(r"(?<=<!-- table: presets -->\n)(\|.*\n)+")


def updated(text):
    """Returns the text of the page with a new table."""
    rows = TABLE.search(text)[0].splitlines()[2:]
    return TABLE.sub(table([re.match(r"\| `(\w+)`", row)[1] for row in rows]), text)


def table(names):
    """Returns a Markdown table with a row for each setting in `names`."""
    chosen = {name: presets.get(name)() for name in presets.names()}
    lines = [["setting", *chosen, "meaning"], ["---"] * (len(chosen) + 2)]
    for name in names:
        values = [_text(getattr(settings, name)) for settings in chosen.values()]
        lines.append([f"`{name}`", *values, _meaning(FIELDS[name].metadata)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _meaning(metadata):
    meaning, unit = metadata["help"], metadata["unit"]
    if unit and unit not in meaning and metadata["kind"] != "endpoints":
        meaning += f" ({unit})"
    if "none" in metadata:
        meaning += f"; none: {metadata['none']}"
    return meaning.replace("|", "\\|")


def _text(value):
    if isinstance(value, tuple):
        return "; ".join(f"{x:,}: {y:g}" for x, y in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else value


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
