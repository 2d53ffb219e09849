"""The statistics of one layer."""

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .caps import Cap
from .correlation import CoMoments
from .extremes import Entrants, Extremes, Where, first, settle
from .histograms import Histogram, histogram
from .measuring import add_positions, drawn, measured, sampled
from .moments import Moments

Pairs = Literal["maxima", "means", "positions"]


@dataclass(frozen=True)
class Options:
    """What is collected; the arguments of `collect`.

    Attributes:
        bins: of the histograms.
        range: of the histograms; None for one that loses nothing.
        top: images kept for each channel.
        correlation: what channels are correlated by; None for no correlation.
        positions: in each image, of which moments, zeros and histograms are taken; None for all.
        seed: of what is drawn.
    """

    bins: int = 50
    range: tuple[float, float] | None = None
    top: int = 9
    correlation: Pairs | None = "maxima"
    positions: int | None = None
    seed: int = 0


class LayerStatistics:
    """What every channel of a layer does over a data set; a channel's values are those at all positions of all images.

    All results are tensors on the CPU, real ones in double precision.

    Attributes:
        name: of the layer, as `layers` has it.
        kind: the class of its module.
        shape: (channels, rows, columns) for the first image, or (channels, …) without a grid.
        cap: the lowest and highest value that its module can give, None where it has no bound: (None, 6) for ReLU6.
    """

    def __init__(self, name: str, kind: str, shape: tuple[int, ...], cap: Cap, options: Options, like: Tensor):
        self.name, self.kind, self.shape, self.cap = name, kind, shape, cap
        channels, device = shape[0], like.device
        self.moments = Moments.empty(channels, device)
        self.bins: Histogram = histogram(channels, options.bins, options.range, like)
        self.pairs = CoMoments.empty(channels, device) if options.correlation else None
        self.highest = Extremes.empty(channels, options.top, device)
        self.lowest = Extremes.empty(channels, options.top, device)

    def add(
        self, values: Tensor, where: Where, indices: Tensor, options: Options, entrants: list[Entrants] | None = None
    ) -> None:
        """Takes the values of some images.

        Args:
            values: (images, channels, positions).
            where: gives row and column, (…, 2), of positions.
            indices: of the images in the data set.
            options: those that it was made with.
            entrants: takes those that are among the extremes, for somebody to settle; None has them settled at once.
        """
        values = values.contiguous()  # one channel after another
        if options.positions is not None and options.positions < values.shape[2]:
            chosen = drawn(indices, values.shape[2], options.positions, options.seed)
            some, low, high, clean = sampled(values, chosen)
            rows, moments, _ = measured(some, self.bins, self.cap, (low, high))
        else:
            some = values
            rows, moments, clean = measured(values, self.bins, self.cap)
        self.moments = self.moments.merge(moments)
        if self.pairs is not None:
            if options.correlation == "positions":
                add_positions(self.pairs, some, moments)
            else:
                self.pairs.add(rows.high if options.correlation == "maxima" else rows.total.double() / rows.count)
        found = [] if entrants is None else entrants
        for extremes, high, lowest in ((self.highest, rows.high, False), (self.lowest, -rows.low, True)):
            channel, image = extremes.entering(high, indices)
            if len(channel):
                position = first(values, image, channel, lowest, clean)
                found.append(Entrants(extremes, channel, image, position, high, indices, where))
        if entrants is None:
            settle(found)

    def merge(self, other: "LayerStatistics", offset: int = 0) -> "LayerStatistics":
        """Of the images of both; the other's indices go up by the offset."""
        found = copy.copy(self)
        found.moments = self.moments.merge(other.moments)
        found.bins = self.bins.merge(other.bins)
        found.pairs = None if self.pairs is None or other.pairs is None else self.pairs.merge(other.pairs)
        found.highest = self.highest.merge(other.highest.later(offset))
        found.lowest = self.lowest.merge(other.lowest.later(offset))
        return found

    def to(self, device: torch.device) -> None:
        """Has it accumulated on another device."""
        for part in (self.moments, self.bins, self.pairs, self.highest, self.lowest):
            if part is not None:
                moved = {key: each.to(device) for key, each in vars(part).items() if isinstance(each, Tensor)}
                vars(part).update(moved)

    def __repr__(self) -> str:
        """One line."""
        return f"LayerStatistics({self.name!r}, {self.kind}, {self.shape[0]} channels)"

    @property
    def count(self) -> Tensor:
        """How many finite values each channel gave, (C,); all other figures are of those."""
        return self.moments.count.cpu()

    @property
    def not_finite(self) -> Tensor:
        """How many values were NaN or infinite, (C,)."""
        return self.moments.not_finite.cpu()

    @property
    def mean(self) -> Tensor:
        """(C,); NaN where there is no value."""
        return self._known(self.moments.mean)

    @property
    def std(self) -> Tensor:
        """The standard deviation of all values (not an estimate from a sample), (C,); NaN where there is none."""
        return self._known(self.moments.spread / self.moments.count.double().sqrt())

    @property
    def minimum(self) -> Tensor:
        """(C,); NaN where there is no value."""
        return self._known(self.moments.minimum)

    @property
    def maximum(self) -> Tensor:
        """(C,); NaN where there is no value."""
        return self._known(self.moments.maximum)

    @property
    def zero_fraction(self) -> Tensor:
        """Share of the values that are exactly 0, (C,), in [0, 1]; NaN where there is no value."""
        return self._known(self.moments.zeros.double() / self.moments.count)

    @property
    def saturated_fraction(self) -> Tensor:
        """Share of the values at the layer's cap, (C,), in [0, 1]; NaN where it has none or there is no value."""
        share = self._known(self.moments.capped.double() / self.moments.count)
        return share if self.cap != (None, None) else torch.full_like(share, float("nan"))

    @property
    def histogram(self) -> Tensor:
        """How many values of each channel fell into each bin, (C, bins)."""
        return self.bins.counts.cpu()

    @property
    def edges(self) -> Tensor:
        """The bins' bounds, (bins + 1,), the same for all channels; a bin holds its lower bound."""
        return self.bins.edges.cpu()

    @property
    def correlation(self) -> Tensor:
        """Pearson's correlation of the channels, (C, C); NaN for a channel that never varies.

        Raises:
            ValueError: if none was collected.
        """
        if self.pairs is None:
            raise ValueError("no correlation was collected: collect(…, correlation=True) does")
        return self.pairs.correlation.cpu()

    @property
    def constant(self) -> Tensor:
        """Which channels have the same value everywhere, (C,)."""
        return (self.moments.minimum >= self.moments.maximum).cpu()

    @property
    def top_values(self) -> Tensor:
        """The channel's highest value in each of the images in which it goes highest, (C, top); NaN if there are fewer.

        Of equal values the one in the image with the lowest index comes first.
        """
        return _or_nan(self.highest.values)

    @property
    def top_indices(self) -> Tensor:
        """Which images these are, (C, top), by their place in the data set; -1 if there are fewer."""
        return self.highest.indices.cpu()

    @property
    def top_positions(self) -> Tensor:
        """Where in them, (C, top, 2), row and column of the first unit with that value; -1 if there are fewer images.

        (0, 0) for a fully connected layer, and (-1, k) for token k beside the grid, such as a class token.
        """
        return self.highest.positions.cpu()

    @property
    def bottom_values(self) -> Tensor:
        """The lowest values, lowest first, as `top_values`."""
        return -_or_nan(self.lowest.values)

    @property
    def bottom_indices(self) -> Tensor:
        """In which images they are, as `top_indices`."""
        return self.lowest.indices.cpu()

    @property
    def bottom_positions(self) -> Tensor:
        """Where in them, as `top_positions`."""
        return self.lowest.positions.cpu()

    @property
    def notes(self) -> list[str]:
        """Sentences to read with the figures."""
        found = []
        broken = self.not_finite.nonzero()[:, 0].tolist()
        if broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            found.append(
                f"{self.name}: {int(self.not_finite.sum())} values are NaN or infinite and left out, in channel "
                f"{', '.join(map(str, broken[:3]))}{more}."
            )
        if self.pairs is not None:
            still = int(self.pairs.constant.sum())
            if self.shape[0] == 1:
                found.append(f"{self.name}: one channel correlates with nothing but itself.")
            elif still:
                which = "1 channel never varies" if still == 1 else f"{still} channels never vary"
                found.append(f"{self.name}: {which}: a correlation with that is not a number.")
        return found

    def _known(self, values: Tensor) -> Tensor:
        return values.masked_fill(self.moments.count == 0, float("nan")).cpu()


def _or_nan(values: Tensor) -> Tensor:
    return values.masked_fill(values == float("-inf"), float("nan")).cpu()
