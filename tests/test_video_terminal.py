"""Screens in a terminal: two pixels a character."""

import io
import re

import numpy as np
import pytest

from keras_dqn.video.terminal import Terminal
from keras_dqn.video.terminal import lines_of

pytestmark = pytest.mark.numpy

COLORS = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀")


def pixels_of(lines):
    """The image that the lines show."""
    rows = []
    for line in lines:
        numbers = np.array(COLORS.findall(line), np.uint8)
        rows += [numbers[:, :3], numbers[:, 3:]]
    return np.array(rows)


def test_an_image_that_fits_is_shown_pixel_by_pixel():
    screen = np.random.default_rng(0).integers(256, size=(6, 5, 3), dtype=np.uint8)
    lines = lines_of(screen, columns=80, rows=24)
    assert len(lines) == 3
    np.testing.assert_array_equal(pixels_of(lines), screen)


@pytest.mark.parametrize(("columns", "rows"), [(80, 200), (200, 20), (40, 10)])
def test_a_large_image_is_shrunk_and_keeps_its_proportions(columns, rows):
    screen = np.full((210, 160, 3), (10, 200, 30), np.uint8)
    pixels = pixels_of(lines_of(screen, columns, rows))
    height, width = pixels.shape[:2]
    assert width <= columns and height <= 2 * rows
    assert height / width == pytest.approx(210 / 160, rel=0.1)
    assert (pixels == (10, 200, 30)).all()


def test_frames_are_drawn_over_one_another_and_the_cursor_comes_back():
    file = io.StringIO()
    with Terminal(1e6, file) as terminal:
        for number in range(3):
            terminal.show(np.zeros((4, 4, 3), np.uint8), f"step {number}")
    text = file.getvalue()
    assert text.count("\x1b[H") == 3 and "step 2" in text
    assert text.index("\x1b[?25l") < text.index("step 0")
    assert text.rstrip().endswith("\x1b[?25h")


def test_frames_keep_their_rate():
    import time

    started = time.monotonic()
    with Terminal(50.0, io.StringIO()) as terminal:
        for _ in range(11):
            terminal.show(np.zeros((4, 4, 3), np.uint8), "")
    assert time.monotonic() - started > 0.18  # ten intervals of 20 ms, less one
