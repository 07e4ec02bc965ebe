"""Shows screens in a window of Tk, which comes with most Pythons."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

HEIGHT = 630  # pixels of a screen


class Window:
    """A window that shows frames at a steady rate.

    Args:
        frames_per_second: Positive float.
        title: String.

    Raises:
        ImportError: If Python has no Tk, or Pillow is not installed.
        RuntimeError: If there is no display.
    """

    def __init__(self, frames_per_second: float, title: str) -> None:
        import tkinter

        from PIL import Image
        from PIL import ImageTk

        self._image, self._photo = Image, ImageTk.PhotoImage
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise RuntimeError(str(error)) from None
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        self._picture = tkinter.Label(self._root)
        self._picture.pack()
        self._caption = tkinter.Label(self._root, anchor="w")
        self._caption.pack(fill="x")
        self._shown: Any = None  # Tk keeps no reference to the picture
        self._seconds, self._next = 1.0 / frames_per_second, time.monotonic()
        self._is_open = True

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_open:
            self._close()

    def show(self, screen: np.ndarray, caption: str) -> None:
        """Shows a screen and a line of text below, and waits for the next frame.

        Raises:
            KeyboardInterrupt: If the window was closed.
        """
        if not self._is_open:
            raise KeyboardInterrupt
        height, width = screen.shape[:2]
        size = round(width * HEIGHT / height), HEIGHT
        image = self._image.fromarray(screen).resize(size, 0)  # the nearest pixel
        self._shown = self._photo(image)
        self._picture.configure(image=self._shown)
        self._caption.configure(text=caption)
        self._root.update()
        self._next = max(self._next + self._seconds, time.monotonic() - self._seconds)
        time.sleep(max(0.0, self._next - time.monotonic()))

    def _close(self):
        self._is_open = False
        self._root.destroy()
