"""Erases what a resize of the terminal leaves of a live panel.

A terminal that becomes narrower wraps each line of the panel to several. `rich.Live`
goes up by the number of lines that it has written, so the upper ones would stay behind.
Lines that the wrapping has moved out of the screen cannot be erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.console import RenderHook
from rich.control import Control
from rich.segment import ControlType
from rich.segment import Segment


class EraseWrapped(RenderHook):
    """A render hook that erases the lines that wrapping has added.

    Push it before the hook of `rich.Live`, and let `Live` draw what `measured` returns.

    Args:
        console: `rich.console.Console`.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lengths: list[int] = []  # characters in the lines on the screen

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        """Adds the control codes that erase the added lines."""
        width = max(self._console.width, 1)
        added = sum((max(length, 1) - 1) // width for length in self._lengths)
        one = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
        return [Control(*one * added), *renderables] if added else renderables

    def measured(self, renderable: Any) -> Any:
        """Returns a renderable that looks the same. Its lines are remembered."""
        return _Measured(renderable, self._lengths)


class _Measured:
    def __init__(self, renderable, lengths):
        self._renderable, self._lengths = renderable, lengths

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        lines = console.render_lines(self._renderable, options, pad=False)
        shown = lines[: options.size.height]
        self._lengths[:] = [Segment.get_line_length(line) for line in shown]
        for line in lines:
            yield from line
            yield Segment.line()
