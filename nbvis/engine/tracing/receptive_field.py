"""How far a unit sees: receptive fields along the rows and columns of the image, and what windows do to them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Span = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """An operation along one dimension whose output o reads the inputs taps(o), and o + outputs the same + inputs.

    `whole` is True where it would read all there are, however many.
    """

    inputs: int
    outputs: int
    taps: Callable[[int], Iterable[int]]
    whole: bool = False


@dataclass(frozen=True)
class Sight:
    """Along the rows or columns, index q·period + r sees the image's from q·step + low to q·step + high.

    `spans` holds (low, high) for each r; the period is more than one only after something was enlarged. What lies
    outside the image, in a border of constants, counts as seen.
    """

    step: int = 1
    spans: tuple[Span, ...] = ((0, 0),)

    @property
    def stride(self) -> float:
        """Pixels from what one index sees to what the next one does; a mean where something was enlarged."""
        turns, rest = divmod(self.step, len(self.spans))
        return self.step / len(self.spans) if rest else turns

    def at(self, index: int) -> Span:
        """(low, high) of one index."""
        turns, rest = divmod(index, len(self.spans))
        low, high = self.spans[rest]
        return turns * self.step + low, turns * self.step + high

    def through(self, window: Window) -> "Sight":
        """After a window."""
        turns = len(self.spans) // math.gcd(len(self.spans), window.inputs)
        spans = tuple(_hull([self.at(index) for index in window.taps(o)]) for o in range(window.outputs * turns))
        return Sight(self.step * window.inputs * turns // len(self.spans), spans)

    def joined(self, other: "Sight") -> "Sight | None":
        """What sees both; None if the two do not advance alike."""
        if self.step * len(other.spans) != other.step * len(self.spans):
            return None
        period = math.lcm(len(self.spans), len(other.spans))
        spans = tuple(_hull([self.at(index), other.at(index)]) for index in range(period))
        return Sight(self.step * period // len(self.spans), spans)

    def bordered(self, whole: int, border: Iterable[tuple[int, int]]) -> "Sight | None":
        """With indices outside that repeat inner ones; `whole` is the number of pixels along the image.

        What such an index sees lies inside the image, at most as far from the image's end as its span reaches beyond
        it. So a span grows where the index repeated sees farther than that; None where an index sees nothing.

        Args:
            whole: pixels along the image.
            border: (index outside, the inner one that it repeats).
        """
        if any(math.isinf(low) for low, _ in self.spans):
            return None
        less = more = 0.0
        for outside, inner in border:
            (low, high), (first, last) = self.at(outside), self.at(inner)
            if outside < 0:
                less = max(less, low + last)
            else:
                more = max(more, 2 * (whole - 1) - first - high)
        return Sight(self.step, tuple((low - less, high + more) for low, high in self.spans))

    def size(self) -> int:
        """The most pixels that an index sees."""
        return int(max(0, *(high - low + 1 for low, high in self.spans)))


@dataclass(frozen=True)
class Field:
    """What the rows and the columns of an activation see of those of the image."""

    rows: Sight
    columns: Sight

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels that one unit sees."""
        return self.rows.size(), self.columns.size()

    def joined(self, other: "Field") -> "Field | None":
        """What sees both; None if the two do not advance alike."""
        rows, columns = self.rows.joined(other.rows), self.columns.joined(other.columns)
        return Field(rows, columns) if rows and columns else None


def window(kernel: int, stride: int, padding: int, dilation: int) -> Window:
    """A convolution's or a pool's."""

    def taps(o: int) -> Iterable[int]:
        return range(o * stride - padding, o * stride - padding + kernel * dilation, dilation)

    return Window(stride, 1, taps)


def transposed_window(kernel: int, stride: int, padding: int, dilation: int) -> Window:
    """A transposed convolution's."""

    def taps(o: int) -> Iterable[int]:
        places = (o + padding - tap * dilation for tap in range(kernel))
        return [place // stride for place in places if place % stride == 0]

    return Window(1, stride, taps)


def proportional(before: int, after: int, taps: Callable[[int, int, int], Iterable[int]]) -> Window:
    """From `before` to `after` indices by taps(o, before, after), both numbers without their common divisor."""
    whole, common = taps is adaptive_taps and after == 1 < before, math.gcd(before, after)
    before, after = before // common, after // common
    return Window(before, after, lambda o: taps(o, before, after), whole)


def cut(start: int, step: int) -> Window:
    """Every so many indices, from `start` on."""
    return Window(step, 1, lambda o: (start + o * step,))


def adaptive_taps(o: int, before: int, after: int) -> Iterable[int]:
    """What adaptive pooling reads."""
    return range(o * before // after, -((o + 1) * -before // after))


def nearest_taps(o: int, before: int, after: int) -> Iterable[int]:
    """What nearest interpolation reads."""
    return (o * before // after,)


def linear_taps(o: int, before: int, after: int) -> Iterable[int]:
    """What linear interpolation reads."""
    place, rest = divmod((2 * o + 1) * before - after, 2 * after)
    return (place, place + 1) if rest else (place,)


def _hull(spans: Sequence[Span]) -> Span:
    """What covers them all; (inf, -inf) covers nothing."""
    return min((low for low, _ in spans), default=math.inf), max((high for _, high in spans), default=-math.inf)


def flat(values: Any) -> Iterator[Any]:
    """What is in lists and tuples in each other."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from flat(value)
        else:
            yield value
