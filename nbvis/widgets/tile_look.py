"""How the channels of a layer are looked at: each value as its place between the limits.

The formulas are those of the Deep Visualization Toolbox (Yosinski et al. 2015, and its fork by Poznanski), but for
the 1e-10 that it adds to a range: with it a gradient of 1e-12 would be black.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .painting import COLORMAPS, DIVERGING
from .tile_grid import Grid, pooled
from .views import Limits, figure

RED_GREEN = "red-green"
"""The toolbox's colours of gradients: from red where they are negative over black to green where they are positive."""
TILE_COLORMAPS = [*COLORMAPS, RED_GREEN]
"""The colour maps there are."""
SCALES = ("layer", "channel")
"""Where a colour means one value in all channels, and where each channel has all the colours."""

BROKEN = (255, 0, 255)
"""Magenta, which no colour map has, stands for what is NaN or infinite."""

_TINY = 1e-10
"""The toolbox adds it to the largest value of a channel before it is raised to a power, since that may be 0."""


class TileLook(NamedTuple):
    """How the channels of a layer are shown.

    Attributes:
        colormap: one of `TILE_COLORMAPS`. With a diverging one zero has the colour in the middle and the strongest
            value, of either sign, that of an end; the others go from the least value to the greatest.
        scale: "layer", where a colour means one value in all channels, or "channel", where each has all the colours.
        boost: from 0, nothing, to 1, where every channel reaches the end of the colours, however weak it is.
        gamma: the exponent of the colours, above 0; less than 1 lifts what is weak.
    """

    colormap: str = "gray"
    scale: str = "layer"
    boost: float = 0.0
    gamma: float = 1.0

    @property
    def signed(self) -> bool:
        """Whether zero stands in the middle of the colours."""
        return self.colormap == RED_GREEN or self.colormap in DIVERGING


class Shares(NamedTuple):
    """What is painted of some channels.

    Attributes:
        values: (channels, rows, columns) in [0, 1], or in [-1, 1] where zero stands in the middle.
        broken: which of them are NaN or infinite; None for none.
        between: the values at the ends of the colours; None where they differ from channel to channel.
        not_finite: how many values of the layer are NaN or infinite.
        notes: what whoever looks should read.
    """

    values: Tensor
    broken: Tensor | None
    between: Limits | None
    not_finite: int
    notes: tuple[str, ...]


def checked(maps: Tensor, look: TileLook) -> Tensor:
    """The maps as (channels, rows, columns) in 32-bit floats on the CPU."""
    if look.colormap not in TILE_COLORMAPS:
        raise ValueError(f"there is no colour map {look.colormap!r}; there are {', '.join(TILE_COLORMAPS)}")
    if look.scale not in SCALES:
        raise ValueError(f"a scale is one of {', '.join(SCALES)}, not {look.scale!r}")
    if not 0 <= look.boost <= 1 or not 0 < look.gamma < math.inf:
        raise ValueError(f"boost is in [0, 1] and gamma above 0, not {look.boost} and {look.gamma}")
    if maps.ndim not in (1, 3) or not maps.numel():
        shape = tuple(maps.shape)
        raise ValueError(f"a layer's output for one image is (channels, rows, columns) or (channels,), not {shape}")
    maps = maps.detach().to("cpu", torch.float32)
    return maps if maps.ndim == 3 else maps[:, None, None]


def shares(maps: Tensor, grid: Grid, look: TileLook) -> Shares:
    """The grid's channels, each value as its place between the limits of the layer or of its channel."""
    low, high, broken = _ranges(maps)
    floor, top, factor = _scaling(low, high, look)
    shown, count = slice(grid.first, grid.last), 0
    page = maps[shown]
    if broken is not None:
        count, broken = int(broken.sum()), broken[shown]
        page, broken = page.masked_fill(broken, 0), pooled(broken.float(), grid.pooled) > 0
    values = pooled(page, grid.pooled).double()
    values -= floor[shown, None, None]
    values *= factor[shown, None, None]
    values.clamp_(-1 if look.signed else 0, 1)
    if look.gamma != 1:
        values = values.sign() * values.abs().pow_(look.gamma) if look.signed else values.pow_(look.gamma)
    notes = [not_finite_note(count, maps.numel()), grid.note]
    if count < maps.numel() and not factor.any():
        notes.append(_same(look, top[0].item()))
    same = look.scale == "layer" and not look.boost and bool(factor.any())
    between = ((-top if look.signed else floor)[0].item(), top[0].item()) if same else None
    return Shares(values, broken, between, count, tuple(note for note in notes if note))


def not_finite_note(count: int, total: int) -> str:
    """What is said of values that are NaN or infinite; empty if there are none."""
    return f"{count:,} of {total:,} values are NaN or infinite: they are magenta." if count else ""


def _ranges(maps: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """The least and the greatest finite value of each channel (inf and −inf if it has none), and which are not."""
    flat = maps.flatten(1)
    low, high, broken = flat.amin(1), flat.amax(1), None
    if not (low.isfinite() & high.isfinite()).all():
        broken = ~maps.isfinite()
        away = broken.flatten(1)
        low, high = flat.masked_fill(away, math.inf).amin(1), flat.masked_fill(away, -math.inf).amax(1)
    return low.double() + 0.0, high.double() + 0.0, broken  # −0 is 0


def _scaling(low: Tensor, high: Tensor, look: TileLook) -> tuple[Tensor, Tensor, Tensor]:
    """The values at the ends of each channel's colours, the first one 0 if it has a sign, and what they are times."""
    floor, top = (low.min().expand_as(low), high.max().expand_as(high)) if look.scale == "layer" else (low, high)
    floor, top = torch.where(floor > top, 0, floor), torch.where(floor > top, 0, top)  # nothing in it is finite
    if look.signed:
        floor, top, high = torch.zeros_like(floor), torch.maximum(floor.abs(), top.abs()), torch.maximum(-low, high)
    factor = torch.where(top > floor, 1 / (top - floor), 0)
    largest = (high - floor).clamp(min=0) * factor
    return floor, top, factor * (largest + _TINY) ** -look.boost


def _same(look: TileLook, value: float) -> str:
    if look.scale == "channel":
        return "Each channel has one value only, so its own scale shows nothing: look at the scale of the layer."
    return f"Every value of the layer is {figure(value)}, so no channel stands out."
