"""A grayscale picture as PNG, with the standard library alone."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(image):
    """Returns `image` as the bytes of a PNG file, one 8-bit channel.

    Args:
        image: uint8 array, shape `(height, width)`.

    Returns:
        Bytes.

    Raises:
        ValueError: If `image` has another shape or dtype.

    Reference:
        - [PNG specification, third edition](https://www.w3.org/TR/png-3/),
          sections 10 and 11.2.
    """
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            "`image` must be a uint8 array of shape `(height, width)`. "
            f"Received: image.shape={image.shape}, image.dtype={image.dtype}"
        )
    height, width = image.shape
    # 8 bits, grayscale, then the only compression, filter set and no interlace.
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = np.pad(image, ((0, 0), (1, 0)))  # each row starts with filter 0: none
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows.tobytes())),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
