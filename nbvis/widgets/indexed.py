"""Pictures that go to a screen as they are: a table of colours, and the number of its colour for each pixel.

Channels are painted anew at every click, and have few colours. Neither end has to pack or open them.
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
        clear: the colour that is seen through, a number; the others are not.

    Example:
        >>> small = Indexed(np.array([[0, 1, 2]]), np.array([(0, 0, 0), (255, 128, 0)]))
        >>> small.size, small.image.convert("RGBA").getpixel((1, 0)), small.image.convert("RGBA").getpixel((2, 0))
        ((3, 1), (255, 128, 0, 255), (0, 0, 0, 0))
    """

    def __init__(self, numbers: np.ndarray, colors: np.ndarray):
        """Gives a picture of the numbers (height, width) and the colours (count, 3); the number `count` is clear."""
        self.clear = len(colors)
        self.numbers = numbers.astype(np.uint8 if self.clear < 256 else np.uint16)
        opaque = np.full((len(colors), 1), 255)
        self.colors = np.vstack([np.hstack([colors, opaque]), np.zeros((1, 4))]).astype(np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as that of a PIL image."""
        return self.numbers.shape[1], self.numbers.shape[0]

    @functools.cached_property
    def image(self) -> Image.Image:
        """The same, with a palette where that has room for the colours."""
        if self.clear >= 256:
            return Image.frombytes("RGBA", self.size, self.colors[self.numbers].tobytes())
        image = Image.frombytes("P", self.size, self.numbers.tobytes())
        image.putpalette(self.colors[:, :3].flatten().tolist())
        image.info["transparency"] = self.clear
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
