"""Where the channels of a layer are in the one picture of them all."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LONGEST = 1000
"""Longer side in pixels of the picture of a layer; beyond that several activations share a pixel.

A quarter of a million channels fit; the picture of more is larger, so that each keeps its pixel.
"""
PADDING = 1
"""Pixels between two tiles."""
SMALLEST = 3
"""Longer side in pixels of a tile, as in the toolbox: one of a single pixel could neither be seen nor hit."""


class Grid(NamedTuple):
    """The channels in rows.

    Attributes:
        first: of the channels, at the top left.
        last: the channel after them.
        rows: of tiles.
        columns: of tiles; the last row may have fewer.
        tile: (height, width) of each in pixels; `PADDING` pixels lie between two.
        pooled: so many rows and columns of activations share a pixel.
        enlarged: so many rows and columns of pixels show one activation.
    """

    first: int
    last: int
    rows: int
    columns: int
    tile: tuple[int, int]
    pooled: int = 1
    enlarged: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture in pixels."""
        return self.rows * (self.tile[0] + PADDING) - PADDING, self.columns * (self.tile[1] + PADDING) - PADDING

    @property
    def note(self) -> str:
        """What a pixel shows, where that is not plain."""
        each = f"{self.pooled} × {self.pooled}"
        return f"A pixel shows the strongest of {each} activations." if self.pooled > 1 else ""

    def place(self, channel: int) -> tuple[int, int]:
        """(top, left) of a channel's tile in pixels.

        Raises:
            ValueError: if the channel is not shown.

        Example:
            >>> layer_grid((6, 7, 9)).place(4)
            (8, 10)
        """
        if not self.first <= channel < self.last:
            raise ValueError(f"the channels {self.first} to {self.last - 1} are shown, not {channel}")
        row, column = divmod(channel - self.first, self.columns)
        return row * (self.tile[0] + PADDING), column * (self.tile[1] + PADDING)

    def channel_at(self, row: int, column: int) -> int | None:
        """The channel at a pixel; None where there is none.

        The line below a tile and the one to its right count as its own, so that no click between two is lost.

        Example:
            >>> layer_grid((6, 7, 9)).channel_at(8, 10), layer_grid((5, 7, 9)).channel_at(8, 20)
            (4, None)
        """
        height, width = self.size
        if not (0 <= row < height and 0 <= column < width):
            return None
        place = row // (self.tile[0] + PADDING) * self.columns + column // (self.tile[1] + PADDING)
        return self.first + place if place < self.last - self.first else None

    def header(self) -> dict[str, Any]:
        """It as the front end reads it."""
        return self._asdict() | {"tile": list(self.tile), "size": list(self.size), "padding": PADDING}


def layer_grid(shape: tuple[int, int, int], ratio: float = 1.0, first: int = 0, last: int | None = None) -> Grid:
    """The grid of a layer's channels: as many columns as the root of their number times the ratio, rounded up.

    Args:
        shape: of the layer's output, (channels, rows, columns).
        ratio: of the grid's columns to its rows, above 0.
        first: of the channels that are shown.
        last: the channel after them, None for all.

    Raises:
        ValueError: if there are no such channels, or the ratio is not above 0.

    Example:
        >>> layer_grid((64, 224, 224)).tile, layer_grid((1000, 1, 1)).tile
        ((112, 112), (3, 3))
    """
    channels, height, width = shape
    last = channels if last is None else last
    if not 0 <= first < last <= channels:
        raise ValueError(f"of the channels 0 to {channels - 1} none are from {first} on and before {last}")
    if not 0 < ratio < math.inf:
        raise ValueError(f"the ratio of columns to rows is above 0, not {ratio}")
    count = last - first
    columns = min(count, math.ceil(math.sqrt(count * ratio)))
    rows = -(-count // columns)
    longer = max(height, width)
    enlarged = -(-SMALLEST // longer)
    if enlarged > 1:
        grid = Grid(first, last, rows, columns, (height * enlarged, width * enlarged), enlarged=enlarged)
        return grid if max(grid.size) <= LONGEST else grid._replace(tile=(height, width), enlarged=1)
    tiles = ((-(-height // share), -(-width // share)) for share in range(1, longer + 1))
    grids = [Grid(first, last, rows, columns, tile, share) for share, tile in enumerate(tiles, 1)]
    return next((grid for grid in grids if max(grid.size) <= LONGEST), grids[-1])


def pooled(maps: Tensor, share: int) -> Tensor:
    """Maps whose every cell is the value with the largest size among `share` × `share` of them.

    A mean would dim the lonely strong activation that whoever looks is after, and a maximum would hide a strong
    negative one.

    Args:
        maps: (channels, rows, columns); at the bottom and at the right the cells may have fewer.
        share: how many rows and columns.

    Example:
        >>> pooled(torch.tensor([[[1.0, -3, 2], [0, 0, 0]]]), 2)
        tensor([[[-3.,  2.]]])
    """
    if share == 1:
        return maps
    channels, height, width = maps.shape
    rows, columns = -(-height // share), -(-width // share)
    maps = F.pad(maps, (0, columns * share - width, 0, rows * share - height))  # zeros are never the strongest
    cells = maps.view(channels, rows, share, columns, share)
    low, high = cells.amin(2).amin(3), cells.amax(2).amax(3)  # five times faster than over both at once
    return torch.where(-low > high, low, high)
