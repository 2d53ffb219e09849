"""Histograms of each channel: over a range that is given, or over one that grows and loses nothing."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


class Histogram(Protocol):
    """How often the values of each channel fell into each bin, (C, bins)."""

    counts: Tensor

    @property
    def edges(self) -> Tensor:
        """The bins' bounds, (bins + 1,): a bin holds its lower bound, and the last one its upper bound too."""
        ...

    def add(self, values: Tensor, first: int, low: float, high: float, finite: Tensor | None) -> None:
        """Counts values.

        Args:
            values: (images, channels, positions).
            first: the channel that theirs begin with.
            low: the lowest finite one.
            high: the highest finite one.
            finite: which of them count, of the same shape; None for all.
        """
        ...

    def merge(self, other: Any) -> "Histogram":
        """Of the values of both."""
        ...


def histogram(channels: int, bins: int, range: tuple[float, float] | None, like: Tensor) -> Histogram:
    """An empty one, for values of the type of `like`, on its device."""
    counts = torch.zeros(channels, bins, dtype=torch.int64, device=like.device)
    if range is None:
        return GrowingHistogram(counts)
    return FixedHistogram(counts, fixed_edges(bins, range, like.dtype))


def fixed_edges(bins: int, range: tuple[float, float], dtype: torch.dtype) -> Tensor:
    """The bounds of equal bins, (bins + 1,), as NumPy has them for values of a type.

    Raises:
        ValueError: if numbers of this type do not reach so far, or lie too far apart there for so many bins.
    """
    low, high = range
    kind, name = torch.finfo(dtype), str(dtype).removeprefix("torch.")
    if max(-low, high, high - low) > kind.max:
        raise ValueError(
            f"range {range} is wider than {name} values are: low, high and between them at most {kind.max}"
        )
    found = _cut(bins, low, high, dtype)
    if found is not None:
        return found
    wider = high - low
    while _cut(bins, low, low + wider, dtype) is None:
        wider *= 2
    raise ValueError(
        f"range {range} is too narrow for {bins} bins of {name} values, of which there are too few between: "
        f"({low}, {low + wider}) is wide enough"
    )


def _cut(bins: int, low: float, high: float, dtype: torch.dtype) -> Tensor | None:
    none = torch.empty(0, dtype=dtype).numpy()  # what NumPy makes of the range hangs on the type of the values
    try:
        return torch.from_numpy(np.histogram_bin_edges(none, bins, (low, high)))
    except ValueError:
        return None


@dataclass
class FixedHistogram:
    """Equal bins over a range, as `np.histogram` has them; what lies outside is not counted.

    Attributes:
        counts: (C, bins).
        edges: (bins + 1,).
    """

    counts: Tensor
    edges: Tensor

    def add(self, values: Tensor, first: int, low: float, high: float, finite: Tensor | None) -> None:
        """Counts values, as `Histogram.add`."""
        bound = self.edges.to(values, copy=True)
        # The last bin holds its upper bound, so what lies outside begins with the next number.
        bound[-1] = bound[-1].nextafter(bound.new_tensor(math.inf))
        bin = _below_nearest(values, bound) if _even(bound) else torch.bucketize(values, bound, right=True) - 1
        channels, bins = values.shape[1], self.counts.shape[1]
        counts = self.counts.new_zeros(channels, bins + 2)  # one more on both sides, for what lies outside
        _count(counts, bin, 0, finite, -1)
        self.counts[first : first + channels] += counts[:, 1:-1]

    def merge(self, other: "FixedHistogram") -> "FixedHistogram":
        """Of the values of both."""
        return FixedHistogram(self.counts + other.counts, self.edges)


def _even(bound: Tensor) -> bool:
    """Whether bounds lie so evenly, as far as they are rounded, that division finds the nearest one."""
    low, high, bins = bound[0].item(), bound[-1].item(), len(bound) - 1
    kind = torch.finfo(bound.dtype)
    width = high / bins - low / bins
    return 16 * kind.eps * max(abs(low), abs(high)) < width and kind.tiny < width and 1 / width < kind.max


def _below_nearest(values: Tensor, bound: Tensor) -> Tensor:
    """In which bin values lie, from -1 to the number of bins: from the nearest bound on, or below it."""
    bins = len(bound) - 1
    low, width = bound[0].item(), bound[-1].item() / bins - bound[0].item() / bins
    nearest = values.sub(low).mul_(1 / width).round_().clamp_(0, bins)
    there = bound.index_select(0, nearest.to(torch.int32).flatten()).view_as(values)
    return nearest.sub_(torch.lt(values, there, out=there))


@dataclass
class GrowingHistogram:
    """Equal bins over a range that grows to hold all values.

    A bin is as wide as a power of two and begins at a multiple of its width, so a wider bin is exactly the union of
    narrower ones. The width is the smallest that holds all values in the bins there are; it follows from the lowest
    and the highest value alone, whatever the order in which they came.

    Attributes:
        counts: (C, bins).
        exponent: of the width.
        first: the first bin begins at so many times the width.
        low: the lowest value so far.
        high: the highest.
    """

    counts: Tensor
    exponent: int = 0
    first: int = 0
    low: float = math.inf
    high: float = -math.inf

    @property
    def edges(self) -> Tensor:
        """The bins' bounds, (bins + 1,), float64."""
        steps = torch.arange(self.first, self.first + self.counts.shape[1] + 1, dtype=torch.float64)
        return steps * 2.0**self.exponent

    def add(self, values: Tensor, first: int, low: float, high: float, finite: Tensor | None) -> None:
        """Counts values, as `Histogram.add`."""
        self._cover(low, high)
        # Exact: a product with a power of two and a whole number are not rounded, nor is a difference of close ones.
        bin = values.mul(2.0**-self.exponent).floor_()
        if low < 0 and self.exponent > 0:
            # But for what is so little below 0 that no number is left of the product.
            bin.masked_fill_((bin == 0) & (values < 0), -1.0)
        _count(self.counts, bin, first, finite, self.first)

    def merge(self, other: "GrowingHistogram") -> "GrowingHistogram":
        """Of the values of both."""
        found = GrowingHistogram(self.counts.clone(), self.exponent, self.first, self.low, self.high)
        found._cover(other.low, other.high)
        fine = GrowingHistogram(other.counts, other.exponent, other.first, other.low, other.high)
        fine._cover(self.low, self.high)
        found.counts += fine.counts
        return found

    def _cover(self, low: float, high: float) -> None:
        low, high = min(low, self.low), max(high, self.high)
        if (low, high) == (self.low, self.high) or low > high:
            return
        exponent = _exponent(low, high, self.counts.shape[1])
        first = math.floor(low * 2.0**-exponent)
        if self.low <= self.high and (exponent, first) != (self.exponent, self.first):
            # Where all values so far are 0, the bins may get narrower: 0 begins one of any width.
            wider = max(exponent - self.exponent, 0)
            steps = torch.arange(self.first, self.first + self.counts.shape[1], device=self.counts.device)
            place = ((steps >> wider) - first).clamp(0, self.counts.shape[1] - 1)
            self.counts = torch.zeros_like(self.counts).index_add_(1, place, self.counts)
        self.exponent, self.first, self.low, self.high = exponent, first, low, high


_FINEST, _DIGITS = -120, 40
"""Exponents of the narrowest bins: at all, and below that of the largest value."""


def _exponent(low: float, high: float, bins: int) -> int:
    """Of the smallest width at which so many bins, from a multiple of it on, hold both."""
    largest = max(abs(low), abs(high))
    if not largest:
        return 0
    exponent = max(math.frexp(largest)[1] - _DIGITS, _FINEST)
    if high > low:
        exponent = max(exponent, math.frexp((high / 2 - low / 2) / bins)[1])
    while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= bins:
        exponent += 1
    return exponent


_FEW = 4096
"""Counters of one piece, four sets of which stay in the processor's fastest cache."""


def _count(counts: Tensor, bin: Tensor, first: int, counted: Tensor | None, offset: int = 0) -> None:
    """Adds up how often each bin occurs in (images, channels, positions), where it is to be counted.

    Args:
        counts: of all channels.
        bin: whole numbers, which are overwritten.
        first: channel.
        counted: which count; None for all.
        offset: what stands for bin 0.
    """
    channels, bins = bin.shape[1], counts.shape[1]
    begin = torch.arange(channels, device=bin.device)[:, None] * bins
    if abs(offset) + channels * bins < 1 << 23:  # whole numbers that single precision holds
        bin += (begin - offset).to(bin.dtype)
    else:
        bin = (bin - offset).to(torch.int32) + begin
    place, sets = bin.to(torch.int32), 1
    if counted is not None:
        place = place[counted]
    elif channels * bins <= _FEW:
        # After a ReLU half the values are 0: one counter for all of them would have each wait for the one before.
        sets = 4
        place += torch.arange(bin.shape[2], device=bin.device, dtype=torch.int32) % sets * (channels * bins)
    found = torch.bincount(place.flatten(), minlength=sets * channels * bins)
    counts[first : first + channels] += found.view(sets, channels, bins).sum(0)
