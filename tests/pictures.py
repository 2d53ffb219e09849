"""Pictures as a view reads them."""

import io
import struct

import numpy as np
from PIL import Image


def opened(buffer: bytes) -> Image.Image:
    """A picture that is sent: a PNG, a JPEG, or a table of colours and their numbers."""
    if buffer[0]:
        return Image.open(io.BytesIO(buffer))
    _, width, height, count = struct.unpack_from("<4I", buffer)
    colors = np.frombuffer(buffer, np.uint8, 4 * count, 16).reshape(count, 4)
    numbers = np.frombuffer(buffer, "<u2" if count > 256 else "u1", offset=16 + 4 * count).reshape(height, width)
    return Image.fromarray(colors[numbers])
