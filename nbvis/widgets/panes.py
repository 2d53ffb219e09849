"""What a widget that asks questions shows: pictures with what is said about them, each painted and encoded once."""

import functools
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from PIL import Image
from torch import Tensor

from nbvis.sessions import encoded

from .indexed import Indexed, as_image
from .notes import Note
from .painting import Look, Painted, own_limits, paint
from .sheet import Cell, sheet
from .views import VIEWS, Limits, figure, histogram

KEPT = 64
"""Pictures that are kept, the last used ones."""
FILM = 112
"""Longer side in pixels of a picture of the film."""

_COLORS = ("red", "green", "blue")


class _Painting(Protocol):
    @property
    def source(self) -> Indexed | Image.Image | None: ...


_P = TypeVar("_P", bound=_Painting)


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
            "image": self.picture.number if self.picture else 0,
            "bar": list(self.between) if self.between else None,
            "colors": list(self.colors),
            "note": self.note,
            "stale": self.stale,
        }

    def cell(self) -> Cell:
        """It as it is saved."""
        title = f"{self.title} · {self.layer}" if self.layer else self.title
        line = self.sub if self.picture else self.note or "not computed yet"
        return Cell(self.picture.image if self.picture else None, title, line, self.between, self.colors)


class Picture:
    """A picture, encoded the first time somebody is sent it.

    Attributes:
        source: the picture.
        number: its own, above 0, by which a view knows that it shows it already.
    """

    _numbers = itertools.count(1)

    def __init__(self, source: Indexed | Image.Image):
        self.source, self.number = source, next(self._numbers)

    @property
    def image(self) -> Image.Image:
        """It as an 8-bit image."""
        return as_image(self.source)

    @functools.cached_property
    def sent(self) -> bytes:
        """It as a view is sent it: packed if it is indexed, else a PNG."""
        return self.source.packed if isinstance(self.source, Indexed) else encoded(self.source, lossless=True)


class Scene:
    """What is shown at one moment: read from the answers once a frame, and painted if the frame has pictures.

    A widget's own scene says what that is; `panes` and `title` it must have, the rest where there is something to say.

    Attributes:
        title: what all of it shows, as the heading of a saved page.
        size: (height, width) of the pictures on the saved sheet, pixels.
        outdated: whether the network has changed since the answers were found.
        made: what was made then, for the sentence that says so.
    """

    title: str
    size: tuple[int, int]
    outdated: bool
    made = "this was computed"

    def panes(self) -> list[Pane]:
        """The pictures."""
        raise NotImplementedError

    def more(self) -> Mapping[str, Sequence["Picture | None"]]:
        """Pictures beside the panes, by the name under which a frame lists the indexes of their buffers."""
        return {}

    def notes(self) -> list[Note]:
        """What whoever looks should read."""
        return []

    def traits(self) -> dict[str, Any]:
        """The widget's traits that follow from the answers."""
        return {}

    def facts(self) -> dict[str, object]:
        """What a saved page lists below the pictures, by name."""
        return {}

    def frame(self) -> tuple[dict[str, Any], list[bytes]]:
        """What a frame with pictures says of them, and its buffers."""
        buffers: list[bytes] = []

        def index(picture: "Picture | None") -> int:
            buffers.extend([picture.sent] if picture else [])
            return len(buffers) - 1 if picture else -1

        panes = [pane.header(index(pane.picture)) for pane in self.panes()]
        more = {name: [index(picture) for picture in pictures] for name, pictures in self.more().items()}
        return {"panes": panes} | more, buffers

    def growing(self) -> tuple[dict[str, Any], list[bytes]]:
        """What a frame without the pictures says of one that is being made, and its buffers: few bytes, often."""
        return {}, []

    def cells(self) -> list[Cell]:
        """The panes as they are saved."""
        return [pane.cell() for pane in self.panes()]

    def sheet(self) -> bytes:
        """All panes side by side, as one PNG."""
        return encoded(sheet(self.cells(), self.size), lossless=True)


class Painter:
    """Paints, and keeps what it painted last."""

    def __init__(self):
        self._kept: OrderedDict[Hashable, tuple[Any, Picture | None]] = OrderedDict()
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

    def painted(self, key: Hashable, make: Callable[[], _P]) -> tuple[_P, Picture | None]:
        """What `make` paints, whose `source` is the picture, or None if there is none."""
        return self._once(key, make, None)

    def _once(self, key: Hashable, make: Callable[[], _P], most: int | None) -> tuple[_P, Picture | None]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        painted, picture = make(), None
        if source := painted.source:
            if most is not None:
                source = as_image(source).copy()
                source.thumbnail((most, most))
            picture = Picture(source)
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
