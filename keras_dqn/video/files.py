"""Writes frames as MP4 (H.264) and GIF files."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

GIF_COLORS = 64
_PALETTE_FRAMES = 20  # from which the palette of a GIF is made


def write_mp4(
    path: pathlib.Path,
    frames: Sequence[np.ndarray],
    size: tuple[int, int],
    frames_per_second: float,
) -> None:
    """Writes an MP4 that ordinary players and browsers play (H.264, yuv420p).

    Args:
        path: Path. An older file is replaced when the new one is complete.
        frames: Sequence of uint8 RGB arrays, `(height, width, 3)`.
        size: `(width, height)` in pixels, both even.
        frames_per_second: Positive float.

    Raises:
        OSError: If the file cannot be written.
    """
    import imageio_ffmpeg

    def write(unfinished):
        # `macro_block_size=2`: the size is not rounded up to multiples of 16.
        writer = imageio_ffmpeg.write_frames(
            str(unfinished),
            size,
            fps=frames_per_second,
            codec="libx264",
            quality=7,
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-movflags", "+faststart"],
        )
        with warnings.catch_warnings():
            # JAX warns of forks; the child executes ffmpeg at once, which is safe.
            warnings.filterwarnings("ignore", ".*os.fork", RuntimeWarning)
            writer.send(None)
        try:
            for frame in frames:
                writer.send(np.ascontiguousarray(frame))
        finally:
            writer.close()
        # The library ignores that the encoder failed, for example on a full disk.
        try:
            count, _ = imageio_ffmpeg.count_frames_and_secs(str(unfinished))
        except RuntimeError:  # no video at all
            count = 0
        if count != len(frames):
            raise OSError(f"{path} was not written: the encoder failed")

    _replace(path, write)


def write_gif(
    path: pathlib.Path,
    frames: Sequence[np.ndarray],
    frames_per_second: float,
) -> None:
    """Writes a GIF that repeats, with one palette of 64 colors.

    Args:
        path: Path. An older file is replaced when the new one is complete.
        frames: Sequence of uint8 RGB arrays, `(height, width, 3)`. All are kept in
            memory, a byte a pixel.
        frames_per_second: Positive float. GIFs count time in hundredths of a second.

    Raises:
        OSError: If the file cannot be written.
    """
    from PIL import Image

    every = -(-len(frames) // _PALETTE_FRAMES)
    palette = _palette([Image.fromarray(frame) for frame in frames[::every]])
    first, *others = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]

    def write(unfinished):
        first.save(
            unfinished,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=10 * max(2, round(100.0 / frames_per_second)),
            loop=0,
            optimize=False,
        )

    _replace(path, write)


def _palette(images):
    """Returns an image with the palette of all `images`."""
    from PIL import Image

    width, height = images[0].size
    tall = Image.new("RGB", (width, height * len(images)))
    for number, image in enumerate(images):
        tall.paste(image, (0, number * height))
    return tall.quantize(GIF_COLORS, method=Image.Quantize.MEDIANCUT)


def _replace(path: pathlib.Path, write: Callable[[pathlib.Path], None]) -> None:
    """Calls `write` with a new name in the same folder, and renames the file."""
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        write(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
