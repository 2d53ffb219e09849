"""Many channels of a layer drawn at once, as one batch: a sheet of tiles to choose from."""

import math
from typing import Any

from PIL import Image
from torch import Tensor

from nbvis.engine import Objective
from nbvis.sessions import Session, encoded, picture

from .dreaming import objective_of

GAP = 0.04
"""Between two tiles, as a part of one's side."""


def page(count: int, first: int, most: int) -> range:
    """The channels of the page that one of them is on.

    Args:
        count: how many channels the layer has.
        first: a channel of the page.
        most: how many there are on a page.
    """
    start = max(0, min(first, count - 1)) // most * most
    return range(start, min(start + most, count))


def columns(count: int) -> int:
    """How many tiles stand side by side, a little more than below each other."""
    return max(1, math.ceil(math.sqrt(1.5 * count)))


def gap(side: int) -> int:
    """Pixels between two tiles."""
    return max(1, round(GAP * side))


def sheet_size(count: int, side: int) -> tuple[int, int]:
    """(height, width) of the sheet, pixels."""
    across = columns(count)
    down = -(-count // across)
    return tuple(each * side + (each - 1) * gap(side) for each in (down, across))  # type: ignore[return-value]


def sheet(images: Tensor) -> Tensor:
    """The images of a batch (count, channels, side, side) on one sheet, (1, channels, height, width), row by row."""
    count, channels, side, _ = images.shape
    height, width = sheet_size(count, side)
    made, across, step = images.new_ones(1, channels, height, width), columns(count), side + gap(side)
    for at, image in enumerate(images):
        top, left = at // across * step, at % across * step
        made[0, :, top : top + side, left : left + side] = image
    return made


def seen_as(images: Tensor) -> Image.Image:
    """A batch as one picture: on a sheet, if it is of several."""
    return picture(sheet(images) if len(images) > 1 else images)


def paint_sheet(session: Session, format: str) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The newest images as one picture."""
    return {}, (encoded(seen_as(session.image), format == "png"),) if format else ()


def objectives(layer: str, channels: range) -> tuple[Objective, ...]:
    """One for each tile."""
    return tuple(objective_of(layer, index) for index in channels)
