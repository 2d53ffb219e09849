"""The statistics of channels as pictures and as a table: what is sent to the panel, and what is saved."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from nbvis.engine import LayerStatistics, Statistics
from nbvis.sessions import picture

from .channel_answers import Patch
from .channels import dead

MOST = 640
"""Longer side in pixels of the picture of a correlation matrix; several of its cells share a pixel beyond that."""
PATCH, WHOLE = 128, 240
"""Longer sides in pixels of a patch and of the image it is from."""

_BAR, _ZERO, _DEAD, _INK = "#1769e0", "#98a3af", "#c8372d", "#5b6775"


class Bars(NamedTuple):
    """Histograms of some channels, the values that are exactly 0 apart.

    Attributes:
        counts: how many other values fell into each bin, (C, bins).
        zeros: how many values are exactly 0, (C,).
        low: where the first bin begins.
        high: where the last one ends.
    """

    counts: Tensor
    zeros: Tensor
    low: float
    high: float

    def data(self) -> bytes:
        """Zeros and then the bins of one channel after the other, as 64-bit floats."""
        return torch.cat([self.zeros[:, None], self.counts], 1).double().numpy().tobytes()


def bars(layer: LayerStatistics, channels: Sequence[int]) -> Bars:
    """The histograms of the activations of some channels."""
    chosen = torch.tensor(list(channels), dtype=torch.long)
    counts, edges = layer.histogram[chosen], layer.edges
    zeros = (layer.zero_fraction * layer.count).nan_to_num(0.0).round().long()[chosen]
    return _apart(counts, zeros, edges)


def _apart(counts: Tensor, zeros: Tensor, edges: Tensor) -> Bars:
    """Takes what is exactly 0 out of its bin, if that holds it all."""
    bin = int((edges[:-1] <= 0).sum()) - 1
    if 0 <= bin < counts.shape[1] and edges[-1] >= 0:
        counts = counts.clone()
        counts[:, bin] = (counts[:, bin] - zeros).clamp(min=0)
    return Bars(counts, zeros, edges[0].item(), edges[-1].item())


def weight_bars(histogram: Tensor, zeros: Tensor, edges: Tensor, channels: Sequence[int]) -> Bars:
    """The histograms of the weights of some channels."""
    chosen = torch.tensor(list(channels), dtype=torch.long)
    return _apart(histogram[chosen], zeros[chosen], edges)


def matrix(correlation: Tensor, rows: Tensor, columns: Tensor) -> Image.Image:
    """A part of a correlation matrix in colours, from blue at −1 over white to red at 1; what is NaN is grey.

    Args:
        correlation: (C, C).
        rows: the channels along its rows.
        columns: likewise.
    """
    shown = correlation[rows][:, columns]
    if max(shown.shape) > MOST:
        size = min(shown.shape[0], MOST), min(shown.shape[1], MOST)
        shown = F.adaptive_avg_pool2d(shown.nan_to_num(0.0)[None], size)[0]
    colors = matplotlib.colormaps["RdBu_r"]((shown.numpy() + 1) / 2)[..., :3]
    colors[shown.isnan().numpy()] = 0.5
    return Image.fromarray((255 * colors).round().astype(np.uint8))


Rectangle = tuple[int, int, int, int]
"""(left, top, width, height) in pixels."""


def atlas(images: Sequence[Tensor], longest: int) -> Image.Image:
    """Images side by side, where `atlas_places` says.

    Args:
        images: (1, channels, height, width) each.
        longest: their longer sides, pixels.
    """
    places = atlas_places(images, longest)
    whole = Image.new("RGB", (sum(width for *_, width, _ in places), max(height for *_, height in places)))
    for image, (left, top, width, height) in zip(images, places, strict=True):
        whole.paste(_sized(image, (width, height)), (left, top))
    return whole


def atlas_places(images: Sequence[Tensor], longest: int) -> list[Rectangle]:
    """Where each of the images is."""
    places, left = [], 0
    for image in images:
        size = _fitted(image, longest)
        places.append((left, 0, *size))
        left += size[0]
    return places


def _fitted(image: Tensor, longest: int) -> tuple[int, int]:
    """(width, height) in pixels of an image with this longer side."""
    height, width = image.shape[2:]
    share = longest / max(height, width)
    return max(1, round(width * share)), max(1, round(height * share))


def _sized(image: Tensor, size: tuple[int, int]) -> Image.Image:
    shown = picture(image.detach().float().clamp(0, 1)).convert("RGB")
    return shown.resize(size, Image.Resampling.NEAREST if size[0] > 4 * shown.width else Image.Resampling.BICUBIC)


def contact_sheet(patches: Sequence[Patch], side: int) -> Image.Image:
    """Patches in threes, on a square of this many pixels."""
    whole, cell = Image.new("RGB", (side, side), "white"), side // 3
    for place, each in enumerate(patches[:9]):
        shown = _sized(each.seen, _fitted(each.seen, cell - 6))
        whole.paste(shown, (place % 3 * cell + 3, place // 3 * cell + 3))
    return whole


def small_multiples(shown: Bars, channels: Sequence[int], still: Sequence[bool], log: bool, side: int) -> Image.Image:
    """Histograms of channels in rows, on a square of this many pixels.

    Args:
        shown: their histograms.
        channels: their numbers.
        still: which of them are dead.
        log: whether the bars are as high as the logarithms of their counts.
        side: of the square.
    """
    whole = Image.new("RGB", (side, side), "white")
    pen, across = ImageDraw.Draw(whole), max(1, round(len(channels) ** 0.5))
    cell, down = side // across, max(1, side // max(1, -(-len(channels) // across)))
    for place, (channel, gone) in enumerate(zip(channels, still, strict=True)):
        left, top = place % across * cell, place // across * down
        heights = shown.counts[place].double()
        heights = heights.log1p() if log else heights
        total = (shown.counts[place].sum() + shown.zeros[place]).item() or 1
        bottom, height, width = top + down - 16, down - 22, cell - 14
        pen.rectangle((left + 3, bottom - round(height * shown.zeros[place].item() / total), left + 6, bottom),
                      _DEAD if gone else _ZERO)  # fmt: skip
        for bin, share in enumerate((heights / heights.max().clamp(min=1e-9)).tolist()):
            if share > 0:
                start, end = (left + 9 + round(each * width / len(heights)) for each in (bin, bin + 1))
                color = _DEAD if gone else _BAR
                pen.rectangle((start, bottom - max(1, round(height * share)), max(start, end - 1), bottom), color)
        pen.text((left + 4, bottom + 2), f"{channel}{' dead' if gone else ''}", _DEAD if gone else _INK)
    return whole


COLUMNS = (
    "layer", "kind", "channel", "count", "mean", "std", "minimum", "maximum", "zero_fraction", "saturated_fraction",
    "not_finite", "dead", "top_value", "top_image",
)  # fmt: skip


def table(statistics: Statistics) -> bytes:
    """One row a channel with all figures, as CSV; a figure that there is none of is empty."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for layer in statistics.values():
        names = ("count", "mean", "std", "minimum", "maximum", "zero_fraction", "saturated_fraction", "not_finite")
        columns = [getattr(layer, name).tolist() for name in names] + [dead(layer).int().tolist()]
        top = [layer.top_values[:, 0].tolist(), layer.top_indices[:, 0].tolist()] if layer.top_values.shape[1] else []
        columns += top or [[float("nan")] * layer.shape[0], [-1] * layer.shape[0]]
        for channel, row in enumerate(zip(*columns, strict=True)):
            figures = ["" if value != value else value for value in row]
            figures[-1] = "" if figures[-1] == -1 else figures[-1]
            lines.writerow([layer.name, layer.kind, channel, *figures])
    return text.getvalue().encode()
