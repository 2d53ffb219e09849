"""The pictures of a SaliencyView with what is said about them; each is painted and encoded once."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from nbvis.sessions import encoded

from .painting import Look, Painted, own_limits, paint
from .views import VIEWS, Limits, figure, histogram

KEPT = 64
"""Pictures that are kept, the last used ones."""
FILM = 112
"""Longer side in pixels of a picture of the film."""

_COLORS = ("red", "green", "blue")


class Pane(NamedTuple):
    """One picture on the panel, or a sentence in its place.

    Attributes:
        key: "input" or the method.
        title: above its numbers.
        sub: its numbers.
        layer: of the map, empty for the image.
        size: (height, width) of the picture, pixels.
        picture: the picture, encoded and not.
        between: the values at the ends of its colours.
        colors: as "#rrggbb", evenly spaced.
        note: why there is no picture; empty while it is not there yet.
        stale: whether it answers the question before.
    """

    key: str
    title: str
    sub: str
    layer: str
    size: tuple[int, int]
    picture: "Picture | None" = None
    between: Limits | None = None
    colors: tuple[str, ...] = ()
    note: str = ""
    stale: bool = False

    def header(self, index: int) -> dict[str, Any]:
        """What a frame says about it; `index` is that of its buffer, -1 for none."""
        return {
            "key": self.key,
            "title": self.title,
            "sub": self.sub,
            "layer": self.layer,
            "width": self.size[1],
            "height": self.size[0],
            "picture": index,
            "bar": list(self.between) if self.between else None,
            "colors": list(self.colors),
            "note": self.note,
            "stale": self.stale,
        }


class Picture(NamedTuple):
    """A picture, and the same as a PNG."""

    image: Image.Image
    png: bytes


class Painter:
    """Paints, and keeps what it painted last."""

    def __init__(self):
        self._kept: OrderedDict[Hashable, tuple[Painted, Picture | None]] = OrderedDict()
        self._lock = threading.Lock()

    def plain(self, key: Hashable, image: Image.Image) -> Picture:
        """The picture of an image itself."""
        _, picture = self._once(("plain", key), lambda: Painted(image), None)
        assert picture is not None
        return picture

    def map(
        self, key: Hashable, found: Tensor, image: Tensor, look: Look, locked: Limits | None, most: int | None = None
    ) -> tuple[Painted, Picture | None]:
        """The picture of a map, and what is said about it.

        Args:
            key: what stands for the map and the image.
            found: the map, (channels, height, width).
            image: (3, height, width) in [0, 1].
            look: how it is shown.
            locked: the values its colours end at, None for its own.
            most: longer side of the picture in pixels, None for that of the image.
        """
        return self._once((key, look, locked, most), lambda: paint(found, image, look, locked), most)

    def _once(self, key: Hashable, make: Any, most: int | None) -> tuple[Painted, Picture | None]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        painted: Painted = make()
        picture = None
        if image := painted.image:
            if most is not None:
                image = image.copy()
                image.thumbnail((most, most))
            picture = Picture(image, encoded(image, lossless=True))
        with self._lock:
            self._kept[key] = painted, picture
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return painted, picture


def widest(maps: list[Tensor], view: str, size: tuple[int, int]) -> Limits | None:
    """The limits that hold all of the maps; None if there is nothing to colour."""
    found = [limits for each in maps if (limits := own_limits(each, view, size))]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def value_of_image(image: Tensor, row: int, column: int) -> str:
    """The image's values at a pixel, in words."""
    return f"{_place(row, column)} · {_each(image[0, :, row, column])}"


def value_of_map(found: Tensor, view: str, size: tuple[int, int], row: int, column: int) -> str:
    """A map's value at a pixel of its picture, in words and four digits.

    Args:
        found: the map, (channels, height, width).
        view: the one that is shown.
        size: (height, width) of the picture.
        row: in the picture, from the top.
        column: in the picture, from the left.
    """
    if view == "histogram":
        counts, edges = histogram(found)
        place = min(column * len(counts) // size[1], len(counts) - 1)
        return f"{figure(edges[place])} to {figure(edges[place + 1])} · {counts[place]:,} values"
    cell = row * found.shape[1] // size[0], column * found.shape[2] // size[1]
    values = found[:, cell[0], cell[1]]
    where = _place(row, column) if tuple(found.shape[1:]) == size else f"cell {cell[0]}, {cell[1]}"
    if len(found) == 1 and view in ("signed", "raw", "grey"):
        return f"{where} · {_exact(values[0])}"
    parts = [where]
    if view != "raw":
        parts.append(f"{VIEWS[view].caption} {_exact(VIEWS[view].plane(found)[0, cell[0], cell[1]])}")
    if len(found) > 4:
        channel = int(values.abs().argmax())
        return " · ".join([*parts, f"most in channel {channel}: {_exact(values[channel])}"])
    if view != "signed" and len(found) > 1:
        parts.append(f"sum {_exact(values.sum())}")
    return " · ".join([*parts, _each(values)])


def _place(row: int, column: int) -> str:
    return f"row {row}, column {column}"


def _each(values: Tensor) -> str:
    if len(values) == 1:
        return _exact(values[0])
    names = _COLORS if len(values) == 3 else [f"channel {index}" for index in range(len(values))]
    return ", ".join(f"{name} {_exact(value)}" for name, value in zip(names, values, strict=True))


def _exact(value: Tensor) -> str:
    return figure(value.item(), 4)
