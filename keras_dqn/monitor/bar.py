"""A progress bar for an evaluation that is played without a live panel."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from keras_dqn.monitor.plain import PlainConsole
from keras_dqn.monitor.plain import is_gone
from keras_dqn.monitor.terminal import can_draw


@contextlib.contextmanager
def games_bar(
    mode: str = "auto", stream: Any = None
) -> Iterator[Callable[[int, int], None]]:
    """A context that shows how many games of an evaluation have ended.

    On a terminal it is a bar, which disappears at the end. Elsewhere it is one line.

    Args:
        mode: String, see `make_console`. `"none"` shows nothing.
        stream: Text stream. `None` is `sys.stdout`.

    Yields:
        Function `on_game(done, total)` for `DQNAgent.evaluate`.
    """
    stream = sys.stdout if stream is None else stream
    if mode == "none":
        yield _nothing
    elif mode == "plain" or not can_draw(stream):
        PlainConsole(stream).message("Evaluating ...")
        yield _nothing
    else:
        with _bar(stream) as on_game:
            yield on_game


def _nothing(done: int, total: int) -> None:
    pass


@contextlib.contextmanager
def _bar(stream):
    from rich import progress  # here: rich is slow to import

    from keras_dqn.monitor.console import SafeConsole

    columns = (
        progress.TextColumn("evaluating"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[games]}"),
    )
    console = SafeConsole(file=stream, highlight=False)
    shown = progress.Progress(
        *columns, console=console, auto_refresh=False, transient=True
    )
    task = shown.add_task("", total=None, games="")

    def on_game(done, total):
        with _until_gone(stream):
            games = f"{done} of {total} games"
            shown.update(task, completed=done, total=total, games=games, refresh=True)

    with _until_gone(stream):
        shown.start()
    try:
        yield on_game
    finally:
        with _until_gone(stream):
            shown.stop()


@contextlib.contextmanager
def _until_gone(stream):
    """A closed terminal ends the bar, not the evaluation."""
    try:
        yield
    except (OSError, ValueError) as error:
        if not is_gone(stream, error):
            raise
