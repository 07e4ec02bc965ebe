"""Shows screens in a terminal: two pixels a character, in color."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

import numpy as np

HIDE, SHOW, HOME, CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[H", "\x1b[2J"
RESET, TO_END = "\x1b[0m", "\x1b[K"


def lines_of(screen: np.ndarray, columns: int, rows: int) -> list[str]:
    """Returns an image as lines of characters with 24-bit colors.

    Each character is an upper half block: its foreground is one pixel, its background
    the pixel below. The image is shrunk to fit, by the mean of areas, and keeps its
    proportions.

    Args:
        screen: uint8 RGB array, `(height, width, 3)`.
        columns: Integer, largest number of characters in a line.
        rows: Integer, largest number of lines.

    Raises:
        ImportError: If Pillow is not installed.
    """
    from PIL import Image

    height, width = screen.shape[:2]
    factor = min(columns / width, 2 * rows / height, 1.0)
    size = max(1, round(width * factor)), max(2, 2 * round(height * factor / 2))
    pixels = np.asarray(Image.fromarray(screen).resize(size, Image.Resampling.BOX))
    return [
        "".join(
            f"\x1b[38;2;{r};{g};{b};48;2;{u};{v};{w}m▀"
            for (r, g, b), (u, v, w) in zip(upper, lower, strict=True)
        )
        + RESET
        for upper, lower in zip(
            pixels[::2].tolist(), pixels[1::2].tolist(), strict=True
        )
    ]


class Terminal:
    """Draws frames over one another, at a steady rate.

    Args:
        frames_per_second: Positive float.
        file: Text file. Default: standard output.
    """

    def __init__(self, frames_per_second: float, file: TextIO | None = None) -> None:
        self._seconds, self._file = 1.0 / frames_per_second, file or sys.stdout
        self._next = time.monotonic()

    def __enter__(self) -> Terminal:
        self._file.write(HIDE + CLEAR)
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.write(f"{RESET}{SHOW}\n")
        self._file.flush()

    def show(self, screen: np.ndarray, caption: str) -> None:
        """Shows a screen and a line of text below, and waits for the next frame."""
        columns, rows = os.get_terminal_size() if self._file.isatty() else (80, 40)
        caption = caption[:columns]
        text = "".join(self._lines(screen, columns, rows - 1))
        self._file.write(f"{HOME}{text}{caption}{TO_END}\x1b[J")
        self._file.flush()
        self._next = max(self._next + self._seconds, time.monotonic() - self._seconds)
        time.sleep(max(0.0, self._next - time.monotonic()))

    def _lines(self, screen, columns, rows) -> Iterator[str]:
        for line in lines_of(screen, columns, rows):
            yield f"{line}{TO_END}\n"
