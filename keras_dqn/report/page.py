"""A page about a run: one HTML file that needs nothing else. Needs plotly.

All text from the files of a run is escaped here, where the templates are filled.
"""

from __future__ import annotations

import base64
import html
import json
import os
import pathlib
import urllib.parse
from collections.abc import Sequence
from string import Template

from keras_dqn.report import charts
from keras_dqn.report import tables
from keras_dqn.report import template
from keras_dqn.report.reading import RunLog

LARGEST_VIDEO_BYTES = 8 * 10**6  # of a film that is embedded


def page_of(run: RunLog, folder: pathlib.Path, command: str | None) -> str:
    """Returns the page as HTML: about 5 MB, most of which is plotly.js.

    Args:
        run: `RunLog`.
        folder: Path of the directory of the page. A film of 8 MB or more is linked
            from there; a smaller one is embedded.
        command: The command line that would make this run again, or `None`.

    Raises:
        OSError: If the film cannot be read.
    """
    from plotly.offline import get_plotlyjs

    found = charts.charts_of(run)
    settings, note = tables.settings_table(run)
    return template.PAGE.substitute(
        title=_escaped(run.name),
        style=template.STYLE,
        subtitle=_escaped(tables.subtitle(run)),
        tiles=_each(
            template.TILE, [{"name": k, "value": v} for k, v in tables.tiles(run)]
        ),
        warnings=_warnings(run.warnings),
        charts="".join(
            template.CHART.substitute(title=_escaped(chart["title"]), number=number)
            for number, chart in enumerate(found)
        ),
        charts_note=_escaped(tables.charts_note(run, found)),
        video=_video(run.video, folder),
        evaluations=_table(tables.evaluations_table(run)),
        command=_command(command),
        settings=_note(note) + _table(settings),
        env_options=_table(tables.pairs_table(run.info.get("env_options", {}))),
        versions=_table(tables.versions_table(run)),
        data=json.dumps(found, allow_nan=False).replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
        script=template.SCRIPT,
    )


def _escaped(text):
    return html.escape(str(text))


def _each(pattern: Template, items: Sequence[dict[str, object]]) -> str:
    """Returns a template, filled with the escaped values of each item."""
    escaped = [{key: _escaped(text) for key, text in each.items()} for each in items]
    return "".join(pattern.substitute(each) for each in escaped)


def _note(text):
    return _each(template.NOTE, [{"text": text}]) if text else ""


def _warnings(warnings):
    if not warnings:
        return ""
    items = _each(template.WARNING, [{"text": text} for text in warnings])
    return template.WARNINGS.substitute(items=items)


def _command(command):
    if command is None:
        return _note("Not known, since the settings could not be read.")
    return _each(template.COMMAND, [{"text": command}])


def _table(table):
    if not table.rows:
        return _note(table.empty)
    rows = []
    for number, row in enumerate(table.rows):
        pattern = template.CHANGED_ROW if number in table.marked else template.ROW
        cells = _each(template.CELL, [{"text": text} for text in row])
        rows.append(pattern.substitute(cells=cells))
    head = _each(template.HEAD, [{"text": text} for text in table.head])
    return template.TABLE.substitute(head=head, rows="".join(rows))


def _video(path, folder):
    """Returns the film, embedded if it is small."""
    if path is None:
        return ""
    nbytes = path.stat().st_size
    if nbytes < LARGEST_VIDEO_BYTES:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        source, caption = f"data:video/mp4;base64,{data}", _escaped(path.name)
    else:
        relative = pathlib.Path(os.path.relpath(path, folder)).as_posix()
        source = urllib.parse.quote(relative)
        link = _each(template.LINK, [{"address": source, "text": path.name}])
        caption = f"{link}, {nbytes / 1e6:.0f} MB, a file beside this page"
    return template.VIDEO.substitute(source=_escaped(source), caption=caption)
