"""Rewrites the tables of presets in `docs/settings.md` from `keras_dqn.config`.

    python docs/preset_table.py

The table keeps its rows (the settings); values and meanings are read from the code.
"""

import pathlib
import re

from keras_dqn import presets
from keras_dqn.config import FIELDS
from keras_dqn.papers import PAPERS

PAGE = pathlib.Path(__file__).resolve().parent / "settings.md"
TABLE = re.compile(r"(?<=<!-- table: presets -->\n)(\|.*\n)+")
PAPERS_TABLE = re.compile(r"(?<=<!-- table: papers -->\n)(\|.*\n)+")


def updated(text):
    """Returns the text of the page with a new table."""
    rows = TABLE.search(text)[0].splitlines()[2:]
    names = [re.match(r"\| `(\w+)`", row)[1] for row in rows]
    text = TABLE.sub(lambda found: table(names), text)
    return PAPERS_TABLE.sub(lambda found: papers_table(), text)


def papers_table():
    """Returns a Markdown table with a row for each published algorithm."""
    lines = ["| preset | what it is | source |", "| --- | --- | --- |"]
    for name, paper in PAPERS.items():
        lines.append(f"| `{name}` | {paper.title} | {paper.source} |")
    return "".join(f"{line}\n" for line in lines)


def table(names):
    """Returns a Markdown table with a row for each setting in `names`."""
    chosen = {name: presets.get(name)() for name in presets.OURS}
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
