"""How a map becomes a picture: colours, overlays, and the histogram."""

import functools
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.colors import to_hex
from PIL import Image, ImageDraw
from torch import Tensor

from .indexed import Indexed, as_image
from .views import VIEWS, Limits, blank, drawn, figure, histogram, limits, share, strength

DIVERGING = ("RdBu_r", "coolwarm", "seismic", "bwr", "PiYG", "PRGn", "PuOr_r", "BrBG", "vanimo", "berlin")
"""Colour maps with a neutral colour in the middle, which stands for zero in every view."""
SEQUENTIAL = ("magma", "inferno", "plasma", "viridis", "cividis", "hot", "jet", "turbo", "gray", "gray_r")
COLORMAPS = [name for name in (*DIVERGING, *SEQUENTIAL) if name in matplotlib.colormaps]
"""The colour maps there are, by matplotlib's names."""

OVERLAYS = ("none", "blend", "active", "inactive")
"""The map alone, mixed with the image, or with the image where the map is strong or where it is weak."""

_EDGE = 0.8
"""The toolbox raises a map to this power before it lays it over the image."""
_LEVELS = 1024
"""Even, so that a colour map's middle is one of its levels."""
_AGAINST, _FOR = (74, 144, 217, 255), (214, 96, 77, 255)


class Look(NamedTuple):
    """How maps are shown: the view, the overlay with its opacity in [0, 1], and the colour map or "auto"."""

    view: str = "signed"
    overlay: str = "none"
    opacity: float = 0.6
    colormap: str = "auto"

    @property
    def colors(self) -> str:
        """The colour map's name: a diverging one for what has a sign, unless another is chosen."""
        if self.view in ("raw", "grey"):
            return "gray"
        if self.colormap != "auto":
            return self.colormap
        return "RdBu_r" if VIEWS[self.view].scale == "signed" else "magma"

    @property
    def mixes(self) -> bool:
        """Whether the overlay can be: the one picture has no place for it, the other no single strength a pixel."""
        return self.view != "histogram" and not (self.view == "raw" and self.overlay in ("active", "inactive"))

    @property
    def note(self) -> str:
        """That the overlay cannot be, as a sentence; empty if it can or none is asked for."""
        if self.overlay == "none" or self.mixes:
            return ""
        return f"The view {VIEWS[self.view].label} is shown without the overlay {self.overlay!r}."


class Painted(NamedTuple):
    """A map as a picture.

    Attributes:
        source: the picture; None where there is nothing to show.
        between: the values at the ends of its colours, and those colours, evenly spaced; None where it has no scale.
        colors: as "#rrggbb".
        caption: what its numbers are, and their range.
        note: why there is no picture.
    """

    source: Indexed | Image.Image | None
    between: Limits | None = None
    colors: tuple[str, ...] = ()
    caption: str = ""
    note: str = ""

    @property
    def image(self) -> Image.Image | None:
        """The picture as an 8-bit image."""
        return None if self.source is None else as_image(self.source)


def paint(found: Tensor, image: Tensor, look: Look, locked: Limits | None = None) -> Painted:
    """A map in colours, over its image if the look says so.

    Args:
        found: the map, (channels, height, width); a smaller one is enlarged.
        image: what it explains, (3, height, width) in [0, 1].
        look: how.
        locked: the values that the colours end at; None for the map's own.
    """
    if note := blank(found, look.view):
        return Painted(None, note=note)
    if look.view == "histogram":
        return Painted(bars(found, image.shape[2], image.shape[1]), caption=_caption(found, look.view))
    plane = drawn(found, look.view, (image.shape[1], image.shape[2]))
    between = locked or limits(plane, look.view)
    overlaid = look.overlay != "none" and look.mixes
    if overlaid or look.view == "raw":
        source = _image(_mixed(plane, between, look, image) if overlaid else _colored(plane, between, look))
    else:
        source = Indexed(_levels(plane, between, look).numpy(), np.round(255 * color_table(look.colors)))
    shown = _places(between, look)
    colors = tuple(to_hex(color) for color in color_table(look.colors)[shown])
    caption = _caption(found, look.view) + (", limits locked" if locked else "")
    return Painted(source, between, colors, caption)


def own_limits(found: Tensor, view: str, size: tuple[int, int]) -> Limits | None:
    """The values at which a map's colours end; None if there is nothing to colour."""
    return None if view == "histogram" or blank(found, view) else limits(drawn(found, view, size), view)


def rgb(image: Tensor) -> Tensor:
    """An image (batch, channels, height, width) as what its first one looks like, (3, height, width) in [0, 1]."""
    planes = image.detach()[0].float().cpu().clamp(0, 1)
    planes = planes[:3] if len(planes) > 2 else planes.mean(0, keepdim=True)
    return planes.expand(3, -1, -1)


def bars(found: Tensor, width: int, height: int) -> Image.Image:
    """The histogram as a picture on a clear ground, of the shape given and at least 300 pixels wide; zero is a line."""
    scale = -(-300 // width)
    width, height = width * scale, height * scale
    counts, edges = histogram(found)
    picture = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(picture)
    for place, count in enumerate(counts):
        left, right = (round(each * width / len(counts)) for each in (place, place + 1))
        top = height - 1 - round(0.94 * (height - 1) * count / max(counts))
        if count:  # a bin that is hardly filled is not empty
            color = _FOR if edges[place] + edges[place + 1] > 0 else _AGAINST
            pen.rectangle((left, min(top, height - 2), max(left, right - 2), height - 1), color)
    low, high = edges[0], edges[-1]
    if low < 0 < high:
        across = round(-low / (high - low) * (width - 1))
        pen.line((across, 0, across, height - 1), (128, 128, 128, 200))
    return picture


@functools.lru_cache(32)
def color_table(name: str, levels: int = _LEVELS) -> np.ndarray:
    """A colour map's levels in red, green and blue, (levels + 1, 3) in [0, 1]."""
    return matplotlib.colormaps[name].resampled(levels + 1)(np.linspace(0, 1, levels + 1))[:, :3]


def _colored(plane: Tensor, between: Limits, look: Look) -> Tensor:
    """The plane in colours, (3, height, width) in [0, 1]."""
    if look.view == "raw":
        return share(plane, between).double().expand(3, -1, -1)
    return torch.from_numpy(color_table(look.colors)[_levels(plane, between, look).numpy()]).movedim(-1, 0)


def _mixed(plane: Tensor, between: Limits, look: Look, image: Tensor) -> Tensor:
    """The plane in colours and the image, each of (3, height, width) in [0, 1]."""
    weight = look.opacity
    if look.overlay != "blend":
        weight = strength(plane, between).double() ** _EDGE
        weight = 1 - weight if look.overlay == "active" else weight
    return (1 - weight) * image.double() + weight * _colored(plane, between, look)


def _levels(plane: Tensor, between: Limits, look: Look) -> Tensor:
    """The level of the colour map that each pixel has, (height, width)."""
    places = share(plane, between).double()[0].cpu()
    ends = _places(between, look)
    return (ends[0] + places * (ends[-1] - ends[0])).round().long().clamp(0, _LEVELS)


def _places(between: Limits, look: Look) -> np.ndarray:
    """The levels of the colour map that the limits' range takes, 17 of them evenly spaced.

    A diverging map's middle is zero, so that a view without a sign takes one half of it.
    """
    first, last = 0, _LEVELS
    if look.colors in DIVERGING and between[0] >= 0:
        first, last = _LEVELS // 2, 0 if look.view == "negative" else _LEVELS
    return np.linspace(first, last, 17).round().astype(int)


def _image(colors: Tensor) -> Image.Image:
    pixels = (colors * 255).round().clamp(0, 255).byte().movedim(0, -1).contiguous()
    return Image.fromarray(pixels.numpy())


def _caption(found: Tensor, view: str) -> str:
    plane = VIEWS[view].plane(found)
    words = f"{VIEWS[view].caption} " if len(found) > 1 or view == "histogram" else ""
    return f"{words}{figure(plane.min().item())} … {figure(plane.max().item())}"
