"""The layer pane: all channels of a layer as one picture, and one of them large."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import to_hex
from PIL import Image
from torch import Tensor

from nbvis.sessions import picture

from .indexed import Indexed, as_image
from .painting import color_table
from .tile_grid import PADDING, Grid, layer_grid
from .tile_look import BROKEN, RED_GREEN, Shares, TileLook, checked, shares
from .views import Limits

_STEPS, _SIGNED_STEPS = 252, 508
"""Steps from one end of the colours to the other, an even number, so that the middle is a colour. A palette of 256 has
two to spare; where there is a sign, each half needs as many."""
_FAINT = 0.1
"""Where a channel is weaker, the toolbox's overlay over what is inactive shows the input."""


class Tiles(NamedTuple):
    """Channels as a picture.

    Attributes:
        source: the picture, clear between the tiles.
        grid: where each of the channels is.
        between: the values at the ends of the colours; None where they differ from channel to channel.
        colors: as "#rrggbb", evenly spaced between those values.
        not_finite: how many values of the layer are NaN or infinite.
        notes: what whoever looks should read.
    """

    source: Indexed | Image.Image
    grid: Grid
    between: Limits | None
    colors: tuple[str, ...]
    not_finite: int
    notes: tuple[str, ...]

    @property
    def image(self) -> Image.Image:
        """The picture as an 8-bit image, with a palette where there is no sign."""
        return as_image(self.source)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture, pixels."""
        width, height = self.source.size
        return height, width


def layer_atlas(maps: Tensor, look: TileLook, ratio: float = 1.0, first: int = 0, last: int | None = None) -> Tiles:
    """The channels of a layer side by side, as one picture.

    A value's place between the least and the greatest of the whole layer, on whichever page they are, is multiplied
    by the largest place of its channel to the power of −boost, and raised to the power of gamma. Where zero stands in
    the middle of the colours, the place is the value over the largest size, and its sign is kept.

    Args:
        maps: a layer's output for one image, (channels, rows, columns) or (channels,).
        look: how they are shown.
        ratio: of the grid's columns to its rows.
        first: of the channels that are shown.
        last: the channel after them, None for all.

    Raises:
        ValueError: if there are no such channels, or no such look.

    Example:
        >>> atlas = layer_atlas(torch.tensor([[[0.0, 1, 2]] * 3, [[0.0, 0, 0]] * 3]), TileLook())
        >>> atlas.image.size, atlas.grid.place(1), atlas.between
        ((7, 3), (0, 4), (0.0, 2.0))
        >>> [atlas.image.convert("RGB").getpixel((column, 0))[0] for column in (0, 1, 2)]
        [0, 128, 255]
    """
    maps = checked(maps, look)
    grid = layer_grid((len(maps), maps.shape[1], maps.shape[2]), ratio, first, last)
    return _tiles(shares(maps, grid, look), grid, look)


def channel_picture(maps: Tensor, channel: int, look: TileLook) -> Tiles:
    """One channel in the colours that it has among the others, a pixel for each of its activations.

    Args:
        maps: a layer's output for one image, (channels, rows, columns) or (channels,).
        channel: its number.
        look: as that of the layer.

    Raises:
        ValueError: if there is no such channel, or no such look.

    Example:
        >>> maps = torch.tensor([[[0.0, 1, 2]], [[0.0, 0, 4]]])
        >>> channel_picture(maps, 0, TileLook()).image.convert("L").tobytes().hex()
        '004080'
    """
    maps = checked(maps, look)
    grid = _single(maps, channel)
    return _tiles(shares(maps, grid, look), grid, look)


def channel_over(
    maps: Tensor,
    channel: int,
    look: TileLook,
    image: Tensor,
    overlay: str,
    lanes: Sequence[tuple[float, float]] = ((0, 1),),
) -> Tiles:
    """One channel over the image, each activation as a rectangle.

    Over what is active the image is seen through it by its place between the least and the greatest, as a size where
    it has a sign; over what is inactive the image is seen where that is below 0.1, and nothing of it elsewhere. The
    picture has the image's size, and the grid is that of the channel alone.

    Args:
        maps: a layer's output for the image, (channels, rows, columns) or (channels,).
        channel: its number.
        look: as that of the layer.
        image: (3, height, width) in [0, 1].
        overlay: "active" or "inactive".
        lanes: from where to where across the image the map lies, shares of its width; elsewhere it is as it is.

    Raises:
        ValueError: if there is no such channel or overlay, the look is none, or the image has another shape.

    Example:
        >>> maps, white = torch.tensor([[[0.0, 0.5]], [[0.0, 1]]]), torch.ones(3, 2, 2)
        >>> channel_over(maps, 0, TileLook(), white, "inactive").image.convert("L").tobytes().hex()
        'ff80ff80'
    """
    maps = checked(maps, look)
    if overlay not in ("active", "inactive"):
        raise ValueError(f"a channel is laid over the image where it is 'active' or 'inactive', not {overlay!r}")
    if image.ndim != 3 or len(image) != 3:
        raise ValueError(f"the image has the shape (3, height, width), not {tuple(image.shape)}")
    grid = _single(maps, channel)
    found = shares(maps, grid, look)
    mixed = image.detach().double().cpu().clone()
    for start, stop in lanes:
        lane = slice(round(start * mixed.shape[2]), round(stop * mixed.shape[2]))
        mixed[..., lane] = _mixed(found, look, mixed[..., lane], overlay)
    return _tiles(found, grid, look)._replace(source=picture(mixed[None]))


def _single(maps: Tensor, channel: int) -> Grid:
    if not 0 <= channel < len(maps):
        raise ValueError(f"the layer has the channels 0 to {len(maps) - 1}, not {channel}")
    return Grid(channel, channel + 1, 1, 1, (maps.shape[1], maps.shape[2]))


def _tiles(found: Shares, grid: Grid, look: TileLook) -> Tiles:
    """The picture of the grid's channels."""
    colors, levels = _colors(look.colormap), _steps(found.values, look)
    broken, ground = len(colors), len(colors) + 1
    if found.broken is not None:
        levels = levels.masked_fill(found.broken, broken)
    table = np.vstack([np.round(255 * colors), BROKEN, (0, 0, 0)])
    source = Indexed(_laid_out(levels, grid, ground).numpy(), table, ground)
    ends = torch.linspace(-1 if look.signed else 0, 1, 17, dtype=torch.float64)
    bar = _steps(ends.sign() * ends.abs() ** look.gamma, look)
    shown = map(to_hex, colors[bar.numpy()]) if found.between else ()
    return Tiles(source, grid, found.between, tuple(shown), found.not_finite, found.notes)


def _mixed(found: Shares, look: TileLook, image: Tensor, overlay: str) -> Tensor:
    """A channel and the image, (3, height, width) in [0, 1]."""
    size = (image.shape[1], image.shape[2])
    places = _enlarged(found.values, size)
    weight = places.abs()
    tile = torch.from_numpy(_colors(look.colormap)[_steps(places[0], look).numpy()]).movedim(-1, 0)
    if overlay == "active":
        mixed = weight * image + (1 - weight) * tile
    else:
        mixed = torch.where(weight < _FAINT, image, tile)
    if found.broken is None:
        return mixed
    color = torch.tensor(BROKEN, dtype=torch.float64).view(3, 1, 1) / 255
    return torch.where(_enlarged(found.broken.float(), size) > 0, color, mixed)


def _laid_out(tiles: Tensor, grid: Grid, ground: int) -> Tensor:
    """Tiles (channels, rows, columns) in rows, with this value between them."""
    for dim in (1, 2):
        tiles = tiles.repeat_interleave(grid.enlarged, dim) if grid.enlarged > 1 else tiles
    height, width = grid.tile[0] + PADDING, grid.tile[1] + PADDING
    cells = torch.full((grid.rows * grid.columns, height, width), ground, dtype=tiles.dtype)
    cells[: len(tiles), : grid.tile[0], : grid.tile[1]] = tiles
    cells = cells.view(grid.rows, grid.columns, height, width).transpose(1, 2)
    whole = cells.reshape(grid.rows * height, grid.columns * width)
    return whole[: grid.size[0], : grid.size[1]].contiguous()


def _steps(values: Tensor, look: TileLook) -> Tensor:
    """The place of each value among the colours, of the same shape."""
    half = _SIGNED_STEPS / 2
    return (values * half + half if look.signed else values * _STEPS).round_().short()


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps[None], size=size, mode="nearest-exact")[0]


@functools.lru_cache(32)
def _colors(colormap: str) -> np.ndarray:
    """The colours of a picture's steps in red, green and blue, (steps + 1, 3) in [0, 1]."""
    if colormap == RED_GREEN:
        size = np.linspace(-1, 1, _SIGNED_STEPS + 1)
        return np.stack([(-size).clip(min=0), size.clip(min=0), np.zeros_like(size)], 1)
    return color_table(colormap, _SIGNED_STEPS if TileLook(colormap).signed else _STEPS)
