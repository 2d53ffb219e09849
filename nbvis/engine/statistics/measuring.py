"""What one batch of a layer's values adds to its accumulators, in pieces small enough for the processor's cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .caps import Cap
from .correlation import CoMoments
from .histograms import Histogram
from .moments import Moments

PIECE = 1 << 18
"""Values that are looked at in one go on the CPU."""

_SHAKY = 1 / 64
"""Share of the mean square that is spread below which the two are too close for a difference in single precision."""


@dataclass
class Rows:
    """What is known of each image's channels, each (images, C); the sums in the type of the values.

    Attributes:
        total: sum of the finite values.
        squares: sum of their squares.
        low: the lowest; infinite if there is none.
        high: the highest; minus infinity if there is none.
        zeros: how many are 0.
        capped: how many lie at the layer's cap.
        count: how many are finite.
    """

    total: Tensor
    squares: Tensor
    low: Tensor
    high: Tensor
    zeros: Tensor
    capped: Tensor
    count: Tensor

    @classmethod
    def like(cls, values: Tensor) -> "Rows":
        """Not filled yet, for values (images, C, positions)."""
        real = values.new_empty(4, *values.shape[:2])
        whole = torch.zeros(2, *values.shape[:2], dtype=torch.int64, device=values.device)
        count = torch.full_like(whole[0], values.shape[2])
        return cls(real[0], real[1], real[2], real[3], whole[0], whole[1], count)

    def part(self, images: slice, channels: slice) -> "Rows":
        """A view of some."""
        return Rows(*(each[images, channels] for each in vars(self).values()))


def drawn(indices: Tensor, positions: int, some: int, seed: int) -> Tensor:
    """Some of the positions of each image, (images, some): all equally likely, and spread evenly.

    Source: the golden ratio's multiples for the positions, and for the images those of the plastic number, as in
    Roberts 2018, "The unreasonable effectiveness of quasirandom sequences".
    """
    return _drawn(tuple(indices.tolist()), positions, some, seed).to(indices.device)


@lru_cache(maxsize=16)  # a batch's layers are of few sizes
def _drawn(indices: tuple[int, ...], positions: int, some: int, seed: int) -> Tensor:
    start = (torch.tensor(indices, dtype=torch.float64)[:, None] + seed) * 0.7548776662466927
    steps = torch.arange(some, dtype=torch.float64) * 0.6180339887498949
    return ((start + steps).frac() * positions).long().clamp(max=positions - 1)


def measured(
    values: Tensor, counts: Histogram, cap: Cap, ends: tuple[Tensor, Tensor] | None = None
) -> tuple[Rows, Moments, bool]:
    """Rows and moments of values (images, C, positions), which go into the histogram; whether all are finite.

    Given the ends, the lowest and the highest value of more positions than these, it is those that are in both.
    """
    rows, clean = Rows.like(values), True
    for images, channels in pieces(values):
        piece, part = values[images, channels], rows.part(images, channels)
        if ends is None:
            torch.amin(piece, 2, out=part.low)
            torch.amax(piece, 2, out=part.high)
        extremes = piece.aminmax() if ends is not None else (part.low.min(), part.high.max())
        low, high = (each.item() for each in extremes)
        finite = None
        if not (float("-inf") < low and high < float("inf")):  # NaN is neither
            clean, finite = False, piece.isfinite()
            piece, low, high = _only(piece, finite, part)
        _sums(piece, part)
        if finite is not None:
            part.zeros -= (~finite).sum(2)  # they were set to 0
        for k, bound in enumerate(cap):
            if bound is not None:
                part.capped += (piece <= bound if k == 0 else piece >= bound).sum(2)
        if low <= high:
            counts.add(piece, channels.start, low, high, finite)
    if ends is not None:
        rows.low, rows.high = ends
    return rows, _moments(values, rows, clean), clean


def pieces(values: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images and channels that make a piece; all at once on another device than the CPU."""
    images, channels, positions = values.shape
    most = PIECE // max(positions, 1) if values.device.type == "cpu" else images * channels
    some = max(1, min(most, channels))
    together = max(1, most // channels)
    for image in range(0, images, together):
        for channel in range(0, channels, some):
            yield slice(image, min(image + together, images)), slice(channel, min(channel + some, channels))


def _only(piece: Tensor, finite: Tensor, part: Rows) -> tuple[Tensor, float, float]:
    """The piece with 0 for what is not finite, and the lowest and highest of the rest."""
    low, high = _ends(piece, finite)
    part.low.copy_(low)
    part.high.copy_(high)
    part.count.copy_(finite.sum(2))
    return piece.masked_fill(~finite, 0.0), part.low.min().item(), part.high.max().item()


def _ends(values: Tensor, finite: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest finite value of each image's channels; inf and -inf where there is none."""
    return values.masked_fill(~finite, float("inf")).amin(2), values.masked_fill(~finite, float("-inf")).amax(2)


def sampled(values: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor, bool]:
    """The values at some positions of each image, chosen (images, some), and what all values are needed for.

    Returns:
        Values (images, C, some); the lowest and the highest finite value, as in `Rows`; whether all are finite.
    """
    some = values.new_empty(*values.shape[:2], chosen.shape[1])
    low, high = values.new_empty(2, *values.shape[:2])
    places = chosen[:, None].expand(-1, values.shape[1], -1)
    for part in pieces(values):
        piece = values[part]
        torch.amin(piece, 2, out=low[part])
        torch.amax(piece, 2, out=high[part])
        torch.gather(piece, 2, places[part], out=some[part])  # while the piece is in the cache
    clean = float("-inf") < low.min().item() and high.max().item() < float("inf")  # NaN is neither
    if not clean:
        low, high = _ends(values, values.isfinite())
    return some, low, high, clean


def _sums(piece: Tensor, part: Rows) -> None:
    torch.sum(piece, 2, out=part.total)
    part.squares.copy_(torch.linalg.vector_norm(piece, dim=2).square_())
    part.zeros += torch.eq(piece, 0, out=torch.empty_like(piece)).sum(2).long()  # faster than as a bool


def _moments(values: Tensor, rows: Rows, clean: bool) -> Moments:
    count, total, squares = rows.count.sum(0), rows.total.double().sum(0), rows.squares.double().sum(0)
    mean = total / count.clamp(min=1).double()
    away = squares - total * mean
    low, high = rows.low.amin(0).double(), rows.high.amax(0).double()
    shaky = ~(away >= squares * _SHAKY) & (count > 0)
    # Where a square overflows or vanishes.
    shaky |= ~away.isfinite() | (_faint(squares, count, values) & (rows.zeros.sum(0) < count))
    spread = away.sqrt()
    if shaky.any():
        far = torch.maximum(high - mean, mean - low)[shaky]
        mean[shaky], spread[shaky] = _exactly(values, shaky, mean[shaky], far, count[shaky], clean)
    everything = values.shape[0] * values.shape[2]
    return Moments(count, mean, spread, low, high, rows.zeros.sum(0), rows.capped.sum(0), everything - count)


def _faint(squares: Tensor, count: Tensor, values: Tensor) -> Tensor:
    """Whether values are so small that their squares, in the type of the values, are no longer exact."""
    kind = torch.finfo(values.dtype)
    return squares < count.double() * (kind.tiny / kind.eps)  # whose product with a whole number is single precision


def _exactly(
    values: Tensor, some: Tensor, near: Tensor, far: Tensor, count: Tensor, clean: bool
) -> tuple[Tensor, Tensor]:
    """Mean and spread of some channels, as distances in double precision from near it, as shares of the furthest."""
    first = torch.zeros_like(near)
    second = torch.zeros_like(near)
    unit = far.masked_fill(~(far > 0), 1.0)
    for image in values:
        apart = (image[some].double() - near[:, None]) / unit[:, None]
        if not clean:
            apart = apart.masked_fill(~image[some].isfinite(), 0.0)
        first += apart.sum(1)
        second += apart.square().sum(1)
    return near + first / count * unit, (second - first.square() / count).clamp(min=0).sqrt() * unit


def add_positions(pairs: CoMoments, values: Tensor, moments: Moments) -> None:
    """Takes every position of values (images, C, positions) as an observation; `moments` are those of the values."""
    images, channels, positions = values.shape
    mean, count = moments.mean, images * positions
    apart = moments.spread.square()
    squares = apart + count * mean.square()
    varies = moments.minimum < moments.maximum
    tiny = (_faint(squares, moments.count, values) & varies).any()
    if moments.not_finite.any() or tiny or squares.sum() > torch.finfo(values.dtype).max:
        pairs.add(values.movedim(1, 2).reshape(-1, channels))  # in double precision
        return
    shift = mean.to(values) if (apart < squares * _SHAKY).any() else None
    products = values.new_zeros(channels, channels)
    for image in values:
        away = image if shift is None else image - shift[:, None]
        products.addmm_(away, away.T)
    rest = mean if shift is None else mean - shift.double()
    pairs.join(
        CoMoments(
            torch.full_like(pairs.count, count),
            mean,
            products.double() - count * torch.outer(rest, rest),
            moments.minimum,
            moments.maximum,
        )
    )
