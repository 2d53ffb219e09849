"""The images in which a channel goes highest, or lowest, and where in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Where = Callable[[Tensor], Tensor]
"""Gives row and column, (…, 2), of positions."""


@dataclass
class Extremes:
    """The images with the highest values of each channel, one value an image, in order.

    Of equal values the one of the image with the lowest index comes first.

    Attributes:
        values: (C, most); minus infinity where there are fewer images.
        indices: of the images in the data set, (C, most); -1 where there are fewer.
        positions: row and column, (C, most, 2); -1 where there are fewer.
    """

    values: Tensor
    indices: Tensor
    positions: Tensor

    @classmethod
    def empty(cls, channels: int, most: int, device: torch.device) -> "Extremes":
        """Of no images."""
        none = torch.full((channels, most, 4), -1, dtype=torch.int64, device=device)
        values = torch.full((channels, most), float("-inf"), dtype=torch.float64, device=device)
        return cls(values, none[..., 0].clone(), none[..., 1:3].clone())

    def entering(self, values: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Which values of some images are among the highest so far: their channels, in order, and images.

        Args:
            values: (images, C); minus infinity for none.
            indices: of the images in the data set, (images,).
        """
        channels, most = self.values.shape
        if not most:
            return indices[:0], indices[:0]
        last, later = self.values[:, -1], self.indices[:, -1]
        enters = (values > last) | ((values == last) & (indices[:, None] < later))
        channel, image = enters.T.nonzero(as_tuple=True)
        if len(channel) > channels * most:  # as in the first batch, where far from all of them stay
            least = values.topk(most, 0).values[-1]
            channel, image = (enters & (values >= least)).T.nonzero(as_tuple=True)
        return channel, image

    def merge(self, other: "Extremes") -> "Extremes":
        """Of the images of both."""
        values = torch.cat([self.values, other.values], 1)
        indices = torch.cat([self.indices, other.indices], 1)
        positions = torch.cat([self.positions, other.positions], 1)
        first = indices.argsort(dim=1, stable=True)
        second = values.gather(1, first).argsort(dim=1, descending=True, stable=True)
        order = first.gather(1, second)[:, : self.values.shape[1]]
        return Extremes(values.gather(1, order), indices.gather(1, order), _rows(positions, order))

    def later(self, offset: int) -> "Extremes":
        """The same with images that are numbered so much higher."""
        return Extremes(self.values, torch.where(self.indices < 0, -1, self.indices + offset), self.positions)


@dataclass
class Entrants:
    """Values of some images that are among the highest so far.

    Attributes:
        extremes: into which they are to come.
        channel: of each, (some,), in order.
        image: of each, (some,), by its place in the batch.
        position: of each in its image, (some,).
        values: of all images, (images, C).
        indices: of the images in the data set, (images,).
        where: gives row and column, (…, 2), of positions.
    """

    extremes: Extremes
    channel: Tensor
    image: Tensor
    position: Tensor
    values: Tensor
    indices: Tensor
    where: Where

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """What `Extremes` holds of each."""
        return self.values[self.image, self.channel].double(), self.indices[self.image], self.where(self.position)


def settle(found: Sequence[Entrants]) -> None:
    """Has values come in, each lot into other extremes, all of which hold as many images.

    It is made for all layers after a pass, since between its parts each of these small steps costs several times more.
    """
    if not found:
        return
    every = [each.extremes for each in found]
    sizes = [len(each.values) for each in every]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    channel = torch.cat([each.channel + start for each, start in zip(found, starts, strict=True)])
    chosen, row, many = channel.unique_consecutive(return_inverse=True, return_counts=True)
    rank = torch.arange(len(row), device=row.device) - (many.cumsum(0) - many)[row]
    # Sorting is what costs, so the rows are only as long as the most that enter in one channel.
    new = Extremes.empty(len(chosen), int(many.max()), row.device)
    for whole, lots in zip(vars(new).values(), zip(*(each.rows() for each in found), strict=True), strict=True):
        whole[row, rank] = torch.cat(lots)
    old = {key: torch.cat([getattr(each, key) for each in every]) for key in vars(new)}
    better = Extremes(**{key: whole[chosen] for key, whole in old.items()}).merge(new)
    for key, whole in old.items():
        whole[chosen] = getattr(better, key)
        for each, part in zip(every, whole.split(sizes), strict=True):
            setattr(each, key, part.clone())


def _rows(positions: Tensor, order: Tensor) -> Tensor:
    return positions.gather(1, order[..., None].expand(-1, -1, 2))


def first(values: Tensor, image: Tensor, channel: Tensor, lowest: bool, clean: bool) -> Tensor:
    """Where in some images' channels the highest or the lowest value comes first, (some,).

    Args:
        values: (images, channels, positions), one channel after another in memory.
        image: of each, (some,).
        channel: of each, (some,).
        lowest: whether the lowest value is asked for.
        clean: whether all values are finite; others do not count.
    """
    rows = values.flatten(0, 1).index_select(0, image * values.shape[1] + channel)  # ten times [image, channel]
    if not clean:
        rows = rows.masked_fill(~rows.isfinite(), float("inf") if lowest else float("-inf"))
    if rows.device.type != "cpu":
        return rows.argmin(1) if lowest else rows.argmax(1)
    array = rows.numpy()  # whose search is five to forty times as fast as PyTorch's on a processor
    return torch.from_numpy(array.argmin(1) if lowest else array.argmax(1))
