"""Which pixels of one image each row and column of an activation sees, exactly: borders see less, a mean sees all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .axes import Axes
from .receptive_field import Window

_NOTHING = (np.iinfo(np.int64).max, -1)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the rows and the columns of an activation see of those of the image that was traced.

    Attributes:
        rows: (rows, 2), the first and the last row of the image that each sees, last before first where it sees none;
            (1, 2) if all see the same, or there are no rows any more.
        columns: the same of columns.
        image: (height, width).
        pictures: numbers of those inputs of the network that it was computed from.
    """

    rows: np.ndarray
    columns: np.ndarray
    image: tuple[int, int]
    pictures: frozenset[int] = frozenset({0})

    @staticmethod
    def of_image(height: int, width: int, number: int = 0) -> "Seen":
        """The image itself, or the input of that number: each row and column sees its own."""
        rows, columns = (np.arange(length)[:, None].repeat(2, axis=1) for length in (height, width))
        return Seen(rows, columns, (height, width), frozenset({number}))

    def box(self, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """((top, bottom), (left, right)) of the pixels that a unit sees, the second after the last."""
        spans = ((one[0 if len(one) == 1 else k]) for one, k in ((self.rows, row), (self.columns, column)))
        (top, bottom), (left, right) = ((int(low), int(high) + 1) for low, high in spans)
        return ((top, bottom), (left, right)) if top < bottom and left < right else ((0, 0), (0, 0))

    def changed(self, kinds: Iterable[str], change: Callable[[np.ndarray], np.ndarray]) -> "Seen":
        """With the spans of rows, of columns or of both made others."""
        found = self
        if "row" in kinds:
            found = replace(found, rows=change(found.rows))
        return replace(found, columns=change(found.columns)) if "column" in kinds else found

    def through(self, kinds: Iterable[str], window: Window, before: int, after: int) -> "Seen":
        """After a window along rows or columns, of which there are so many before and after; beyond is a border."""
        places = np.full((after, 1), -1)
        for rest in range(min(window.outputs, after)):
            taps = np.array([*window.taps(rest)], dtype=np.int64)
            turns = len(range(rest, after, window.outputs))
            wider = max(0, len(taps) - places.shape[1])
            places = np.pad(places, ((0, 0), (0, wider)), constant_values=-1)
            places[rest :: window.outputs, : len(taps)] = taps + window.inputs * np.arange(turns)[:, None]
        return self.changed(kinds, lambda spans: _at(spans, places, before))

    def at(self, kinds: Iterable[str], before: int, indices: Sequence[int]) -> "Seen":
        """At some indices of those along rows or columns; one that there is not is a border of constants."""
        return self.changed(kinds, lambda spans: _at(spans, np.array(indices, dtype=np.int64)[:, None], before))

    def mixed(self, kinds: Iterable[str]) -> "Seen":
        """After everything along rows, columns or both went into each value."""
        return self.changed(kinds, lambda spans: np.array([[spans[:, 0].min(), spans[:, 1].max()]]))

    def fitting(self, axes: Axes) -> "Seen | None":
        """This, if there are as many rows and columns as before."""
        counts = (np.prod([p.size for each in axes.dimensions for p in each.parts if p.kind == k]) for k in _KINDS)
        fits = all(len(one) in (1, count) for one, count in zip((self.rows, self.columns), counts, strict=True))
        return self if fits else None


_KINDS = ("row", "column")


def mixed_along(seen: Seen | None, axes: Axes, dimensions: Iterable[int]) -> Seen | None:
    """What is seen after everything along some dimensions went into each value; None if they are half of a place."""
    which = {d % len(axes.dimensions) for d in dimensions}
    inside = {kind for d in which for kind in axes.dimensions[d].kinds}
    outside = {kind for d, each in enumerate(axes.dimensions) if d not in which for kind in each.kinds}
    return None if seen is None or inside & outside & {*_KINDS} else seen.mixed(inside)


def together(axes: Axes | None, places: Iterable[tuple[Axes | None, Seen | None]]) -> Seen | None:
    """What values see that come of all of these at the same place; one row or column stands beside each of many."""
    found: Seen | None = None
    for own, seen in places:
        if axes is None or own is None or seen is None:
            return None
        varied = {k for k, spans in zip(_KINDS, (seen.rows, seen.columns), strict=True) if len(spans) > 1}
        many = {back: each for back, each in enumerate(reversed(own.dimensions)) if each.kinds & varied}
        now = {back: each for back, each in enumerate(reversed(axes.dimensions)) if back in many}
        if now != many:
            return None
        found = (
            seen
            if found is None
            else replace(
                found,
                rows=_joined(found.rows, seen.rows),
                columns=_joined(found.columns, seen.columns),
                pictures=found.pictures | seen.pictures,
            )
        )
    return found


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.stack([np.minimum(one[:, 0], other[:, 0]), np.maximum(one[:, 1], other[:, 1])], axis=1)


def _at(spans: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """What is seen at each row of places together, of `count` that there are; of the others nothing is seen."""
    inside = (places >= 0) & (places < count)
    found = np.broadcast_to(spans, (count, 2))[places.clip(0, max(count - 1, 0))]
    found = np.where(inside[..., None], found, _NOTHING)
    return np.stack([found[..., 0].min(axis=1), found[..., 1].max(axis=1)], axis=1)
