"""The image that a widget is given, whatever it comes in."""

from typing import Any, NamedTuple

import torch.nn.functional as F
import traitlets as t
from torch import Tensor

from nbvis.engine import Images, checked_images

from .numbers import InvalidValueError

LARGE = 2_000_000
"""Pixels above which a picture is worked on at a smaller size, unless all of it is asked for."""
WORKING = 768
"""Longer side of that size, pixels."""
SIZES = (256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""Longer sides that a panel offers for a large picture, pixels."""
SMALLEST = 16


class Given(NamedTuple):
    """One image.

    Attributes:
        image: what is worked on, (1, channels, height, width).
        source: Python that makes it from `image`, what was given.
        original: as it was given, (1, channels, height, width).
        whole: Python that makes that from `image`.
        longest: longer side of what is worked on, pixels; None for all of it.
        bounded: whether it lies in [0, 1].
    """

    image: Tensor
    source: str
    original: Tensor
    whole: str
    longest: int | None
    bounded: bool

    @property
    def share(self) -> float:
        """The part of the original's pixels that is worked on."""
        return _pixels(self.image) / _pixels(self.original)

    @property
    def note(self) -> str:
        """A sentence on the size that is worked on; empty where that is all of it."""
        if self.longest is None:
            return ""
        (height, width), (rows, columns) = self.image.shape[2:], self.original.shape[2:]
        return (
            f"Worked on at {height:,} × {width:,} of {rows:,} × {columns:,} pixels: all of them (working_size=None) "
            f"would take about {1 / self.share:.2g} times the time and memory."
        )

    def sizes(self) -> list[list[str]]:
        """What a panel offers: [longer side, empty for all of it; a text with the cost]; none for a small picture."""
        if self.longest is None and _pixels(self.original) <= LARGE:
            return []
        rows = []
        for longest in [size for size in SIZES if size < max(self.original.shape[2:])] + [None]:
            height, width = _size(self.original, longest)
            cost = height * width / _pixels(self.image)
            how = "now" if longest == self.longest else f"{cost:.2g} times the time and memory"
            rows.append(["" if longest is None else str(longest), f"{height:,} × {width:,} · {how}"])
        return rows


class GivenImage(t.Any):
    """An image that can be set to whatever one comes in; None too is for the widget to take or to refuse."""

    allow_none = False


class WorkingSize(t.Any):
    """Longer side in pixels at which a picture is worked on; None too is checked."""

    allow_none = False


def given_image(given: Images, widget: str, *, bounded: bool = True, longest: Any = "auto") -> Given:
    """The image as a batch of one.

    Args:
        given: what `as_images` takes, or a tensor (channels, height, width).
        widget: the name of the one that takes it, for errors.
        bounded: whether it has to lie in [0, 1].
        longest: longer side in pixels to work on it at; None for all of it; "auto" for that unless it is large.

    Raises:
        TypeError: if it is nothing of that.
        ValueError: if it has another shape, holds several images, or does not lie in [0, 1].
        FileNotFoundError: if it is a path where there is no file.
    """
    source = "image" if isinstance(given, Tensor) else "as_images(image)"
    if isinstance(given, Tensor) and given.dim() == 3:
        given, source = given[None], "image[None]"
    image = checked_images(given, name="image", bounded=bounded).detach()
    if len(image) != 1:
        raise ValueError(f"a {widget} takes one image, not {len(image)}: give image[:1]")
    if longest == "auto":
        longest = WORKING if _pixels(image) > LARGE else None
    return fitted(Given(image, source, image, source, None, bounded), longest)


def fitted(given: Given, longest: int | None) -> Given:
    """The image, to be worked on at another size.

    Args:
        given: the image.
        longest: longer side in pixels, None for all of it; it is never enlarged.

    Raises:
        InvalidValueError: if that is no number of pixels.
    """
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool) or longest < SMALLEST):
        raise InvalidValueError(f"working_size is a whole number of pixels from {SMALLEST}, or None, not {longest!r}")
    if longest is None or longest >= max(given.original.shape[2:]):
        return given._replace(image=given.original, source=given.whole, longest=None)
    size = _size(given.original, longest)
    image = F.interpolate(given.original, size=size, mode="bilinear", antialias=True)
    source = f'torch.nn.functional.interpolate({given.whole}, size={size}, mode="bilinear", antialias=True)'
    if given.bounded:
        image, source = image.clamp(0, 1), f"{source}.clamp(0, 1)"
    return given._replace(image=image, source=source, longest=longest)


def _size(image: Tensor, longest: int | None) -> tuple[int, int]:
    height, width = image.shape[2:]
    scale = 1.0 if longest is None else longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _pixels(image: Tensor) -> int:
    return image.shape[2] * image.shape[3]
