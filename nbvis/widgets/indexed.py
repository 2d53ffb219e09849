"""Pictures that go to a screen as they are: a table of colours, and the number of its colour for each pixel.

Channels and maps are painted anew at every click, and have few colours. Neither end has to pack or open them.
"""

import functools
import struct

import numpy as np
from PIL import Image


class Indexed:
    """A picture of few colours.

    Attributes:
        numbers: which colour each pixel has, (height, width), 8-bit, or 16-bit where there are more than 256 colours.
        colors: red, green, blue and opacity of each, (count, 4) as bytes.

    Example:
        >>> small = Indexed(np.array([[0, 1, 1]]), np.array([(0, 0, 0), (255, 128, 0)]))
        >>> small.size, small.image.convert("RGB").getpixel((1, 0)), len(small.packed)
        ((3, 1), (255, 128, 0), 27)
    """

    def __init__(self, numbers: np.ndarray, colors: np.ndarray, clear: int | None = None):
        """Gives a picture of the numbers (height, width) and the colours (count, 3), one of which may be clear."""
        self.colors = np.pad(colors, ((0, 0), (0, 1)), constant_values=255).astype(np.uint8)
        self._clear = clear
        if clear is not None:
            self.colors[clear] = 0
        self.numbers = numbers.astype(np.uint8 if len(colors) <= 256 else np.uint16)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as that of a PIL image."""
        return self.numbers.shape[1], self.numbers.shape[0]

    @functools.cached_property
    def image(self) -> Image.Image:
        """The same, with a palette where that has room for the colours."""
        if len(self.colors) > 256:
            channels = 3 if self._clear is None else 4
            return Image.fromarray(self.colors[:, :channels][self.numbers])
        image = Image.frombytes("P", self.size, self.numbers.tobytes())
        image.putpalette(self.colors[:, :3].flatten().tolist())
        if self._clear is not None:
            image.info["transparency"] = self._clear
        return image

    @functools.cached_property
    def packed(self) -> bytes:
        """The bytes of a message, all numbers with the lowest byte first.

        They begin with 0, as neither a PNG nor a JPEG does, the width, the height and the count of the colours, 32 bits
        each; then the colours, and then the numbers.
        """
        head = struct.pack("<4I", 0, *self.size, len(self.colors))
        wide = self.numbers.astype(self.numbers.dtype.newbyteorder("<"))
        return head + self.colors.tobytes() + wide.tobytes()


def as_image(source: Indexed | Image.Image) -> Image.Image:
    """The picture as a PIL image."""
    return source.image if isinstance(source, Indexed) else source
