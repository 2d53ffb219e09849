"""The image that a widget is given, whatever it comes in."""

import functools
import math
import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch.nn.functional as F
import traitlets as t
from torch import Tensor

from nbvis.engine import Images, Pair, checked_images, halves, side_by_side

from .numbers import InvalidValueError, one_of

LARGE = 2_000_000
"""Pixels above which a picture is worked on at a smaller size, unless all of it is asked for."""
WORKING = 768
"""Longer side of that size, pixels."""
SIZES = (256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""Longer sides that a panel offers for a large picture, pixels."""
SMALLEST = 16
FRAMINGS = ("whole", "crop", "stretch")
"""How a picture that is not square is worked on: as it is, as the square in its middle, or stretched to a square."""


class Given(NamedTuple):
    """One image.

    Attributes:
        image: what is worked on, (1, channels, height, width).
        source: Python that makes it from `image`, what was given.
        original: as it was given, (1, channels, height, width).
        whole: Python that makes that from `image`.
        longest: longer side of what is worked on, pixels; None for all of it.
        bounded: whether it lies in [0, 1].
        name: what it is called on a panel.
        files: paths of what it was read from, if that may be in a list; two of a pair.
        whence: what `image` stands for in `source` if it is the widget's own; empty for what the widget was given.
        said: a sentence on how it was read; empty if there is nothing to say.
        pair: whether it is two pictures side by side.
        framing: one of `FRAMINGS`; of a pair that of each picture.
    """

    image: Tensor
    source: str
    original: Tensor
    whole: str
    longest: int | None
    bounded: bool
    name: str = "given in Python"
    files: tuple[Path, ...] = ()
    whence: str = ""
    said: str = ""
    pair: bool = False
    framing: str = "whole"

    @property
    def square(self) -> bool:
        """Whether it is one, so that all framings are the same; of a pair whether both are."""
        height, width = self.original.shape[2:]
        return width == height * self._pictures

    @property
    def extent(self) -> tuple[int, int]:
        """(height, width) in pixels of all that there is to work on."""
        height, width = self.original.shape[2:]
        side = min(height, width // self._pictures)
        return (height, width) if self.framing == "whole" else (side, side * self._pictures)

    @property
    def note(self) -> str:
        """Sentences on what is worked on; empty where that is all of it, as it is."""
        (height, width), (rows, columns) = self.image.shape[2:], self.extent
        of = f"{rows:,} × {columns:,} pixels"
        words = {"crop": f"Cropped to the {of} in the middle.", "stretch": f"Stretched to {of}."}
        if self.pair:
            of = f"{rows:,} × {columns // 2:,} pixels"
            words = {"crop": f"Each cropped to the {of} in its middle.", "stretch": f"Each stretched to {of}."}
        said = [] if self.square else [words[self.framing]] if self.framing in words else []
        if self.longest is not None:
            cost = rows * columns / (height * width)
            said.append(
                f"Worked on at {height:,} × {width:,} of {rows:,} × {columns:,} pixels: all of them "
                f"(working_size=None) would take about {cost:.2g} times the time and memory."
            )
        return " ".join(said)

    @property
    def _pictures(self) -> int:
        return 2 if self.pair else 1

    def sizes(self) -> list[dict[str, Any]]:
        """What a panel offers: {longest, text with the cost}, longest None for all of it; none for a small picture."""
        if self.longest is None and math.prod(self.extent) <= LARGE:
            return []
        rows = []
        for longest in [size for size in SIZES if size < max(self.extent)] + [None]:
            height, width = _size(self, longest)
            cost = height * width / math.prod(self.image.shape[2:])
            how = "now" if longest == self.longest else f"{cost:.2g} times the time and memory"
            rows.append({"longest": longest, "text": f"{height:,} × {width:,} · {how}"})
        return rows


class GivenImage(t.Any):
    """An image, set as anything that `as_images` takes; whether None will do is for the widget to say."""

    allow_none = False


class WorkingSize(t.Any):
    """Longer side in pixels at which a picture is worked on; None too is checked."""

    allow_none = False


def given_image(
    given: Any,
    widget: str,
    *,
    bounded: bool = True,
    longest: Any = "auto",
    framing: Any = "whole",
    pair: Pair | None = None,
) -> Given:
    """The image as a batch of one.

    Args:
        given: what `as_images` takes, or a tensor (channels, height, width); for a network that compares pairs two of
            those, or one picture in which they lie side by side.
        widget: the name of the one that takes it, for errors.
        bounded: whether it has to lie in [0, 1].
        longest: longer side in pixels to work on it at; None for all of it; "auto" for that unless it is large.
        framing: one of `FRAMINGS`.
        pair: how the network takes pairs; None if it takes single pictures.

    Raises:
        TypeError: if it is nothing of that.
        ValueError: if it has another shape, holds several images, does not lie in [0, 1], or is a pair or none against
            what the network takes.
        FileNotFoundError: if it is a path where there is no file.
    """
    if isinstance(given, tuple | list) and len(given) == 2:
        single, source = _paired(given, widget, pair)
    else:
        single, source = _single(given)
    image = checked_images(single, name="image", bounded=bounded).detach()
    if len(image) != 1:
        raise ValueError(f"a {widget} takes one image, not {len(image)}: give image[:1]")
    made = Given(image, source, image, source, None, bounded, pair=pair is not None)
    if pair:
        halves(image)
    if isinstance(given, str | os.PathLike):
        made = made._replace(name=Path(given).name, files=(Path(given),))
    return sized(made, framing) if longest == "auto" else fitted(made, longest, framing)


def taken(image: Any, widget: str, options: dict[str, Any], **more: Any) -> Given:
    """The image as a widget's options say, of which those on pictures are taken out; more as for `given_image`."""
    longest, framing = options.pop("working_size", "auto"), options.pop("framing", "whole")
    return given_image(image, widget, longest=longest, framing=framing, **more)


def _paired(given: Sequence[Images], widget: str, pair: Pair | None) -> tuple[Tensor, str]:
    """Two pictures as one, with its source."""
    if pair is None:
        raise ValueError(
            f"a {widget} takes one image, and two are for a network that compares pairs: Network(module, pair='inputs')"
        )
    return side_by_side(*given), "side_by_side(*image)"


def _single(given: Any) -> tuple[Images, str]:
    """What was given as one picture, with its source."""
    if isinstance(given, str | os.PathLike) and (mimetypes.guess_type(given)[0] or "").startswith("video/"):
        raise ValueError(
            f"{os.fspath(given)!r} is a video, which no library that comes along reads: open it in the panel, where "
            "the browser plays it, or give one of its frames as an array"
        )
    if isinstance(given, Tensor):
        return (given[None], "image[None]") if given.dim() == 3 else (given, "image")
    return given, "as_images(image)"


def sized(given: Given, framing: str = "whole") -> Given:
    """The image, to be worked on at its own size, or at a smaller one if it is large."""
    framed = given._replace(framing=one_of("framing", framing, FRAMINGS))
    return fitted(framed, WORKING if math.prod(framed.extent) > LARGE else None, framing)


def fitted(given: Given, longest: int | None, framing: str) -> Given:
    """The image, to be worked on at another size or in another framing.

    Args:
        given: the image.
        longest: longer side in pixels, None for all of it; it is never enlarged.
        framing: one of `FRAMINGS`.

    Raises:
        InvalidValueError: if that is no number of pixels, or no framing.
    """
    given = given._replace(framing=one_of("framing", framing, FRAMINGS))
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool) or longest < SMALLEST):
        raise InvalidValueError(f"working_size is a whole number of pixels from {SMALLEST}, or None, not {longest!r}")
    longest = None if longest is None or longest >= max(given.extent) else longest
    image, source, size = given.original, given.whole, _size(given, longest)
    if given.framing == "crop" and not given.square:
        image, source = _cropped(given)
    if image.shape[2:] != size:
        image, source = _scaled(image, source, given.pair, size)
        if given.bounded:
            image, source = image.clamp(0, 1), f"{source}.clamp(0, 1)"
    return given._replace(image=image, source=source, longest=longest)


def _cropped(given: Given) -> tuple[Tensor, str]:
    """The square in the middle, and its source; of a pair those of both."""
    side, (height, width) = given.extent[0], given.original.shape[2:]
    top, left = (height - side) // 2, (width // given._pictures - side) // 2
    rows, columns = slice(top, top + side), slice(left, left + side)
    cut = f"[..., {top}:{top + side}, {left}:{left + side}]"
    if not given.pair:
        return given.original[..., rows, columns], f"{_in_brackets(given.whole)}{cut}"
    source = f"side_by_side(*(each{cut} for each in halves({given.whole})))"
    return side_by_side(*(each[..., rows, columns] for each in halves(given.original))), source


def _in_brackets(source: str) -> str:
    """Source that can be indexed."""
    return source if source.replace("_", "").isalnum() or source.endswith((")", "]")) else f"({source})"


def _scaled(image: Tensor, source: str, pair: bool, size: tuple[int, int]) -> tuple[Tensor, str]:
    """An image at another size, and its source; of a pair each picture alone, so that none is seen in both."""
    height, width = size
    if pair:
        size = height, width // 2
    said = f'size={size}, mode="bilinear", antialias=True'
    resize = functools.partial(F.interpolate, size=size, mode="bilinear", antialias=True)
    if not pair:
        return resize(image), f"torch.nn.functional.interpolate({source}, {said})"
    code = f"side_by_side(*(torch.nn.functional.interpolate(each, {said}) for each in halves({source})))"
    return side_by_side(*map(resize, halves(image))), code


def _size(given: Given, longest: int | None) -> tuple[int, int]:
    (height, width), pictures = given.extent, given._pictures
    scale = 1.0 if longest is None else longest / max(height, width)
    return max(1, round(height * scale)), pictures * max(1, round(width * scale / pictures))
