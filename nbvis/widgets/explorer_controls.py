"""What can be set on a LayerExplorer, and what cannot."""

from typing import Any

import traitlets as t

from .explored import Explored
from .exploring import OFF, RULES, SEEDS
from .later import LaterList, LaterText
from .numbers import InvalidValueError, Number, OneOf
from .pictures import PictureWidget
from .tile_look import SCALES, TILE_COLORMAPS
from .units import UnitWidget
from .views import VIEWS

PAGE = 1024
"""Channels on a page."""
SHOWS = ("activations", "gradients")
OVERLAYS = ("none", "active", "inactive")


class ExplorerControls(PictureWidget, UnitWidget):
    """The traits of a LayerExplorer, each with what it takes."""

    layer = LaterText(help="The layer that is shown.").tag(sync=True)
    layers = LaterList(help="The layers: {name, kind, shape, field, calls, dead} of each.").tag(sync=True)
    channel = t.Int(0, help="The channel that is shown large.").tag(sync=True)
    place = t.List(t.Int(), help="[row, column] of the unit in the channel; empty for the strongest.").tag(sync=True)
    page = t.Int(0, help=f"Which {PAGE:,} channels are shown, counted from 0.").tag(sync=True)
    pages = t.Int(1, read_only=True, help="How many pages there are.").tag(sync=True)
    labels = LaterList(t.Unicode(), help="The classes' labels; empty if the output has no classes.").tag(sync=True)
    top = LaterList(help="The five likeliest classes: {index, label, probability} of each.").tag(sync=True)
    shows = OneOf("activations", SHOWS, help="activations or gradients: what the channels show.")
    back = OneOf("gradient", (OFF, *RULES), help="How a signal is sent back, one of `backs`.")
    backs = t.List(help="The ways back: {name, label, sentence} of each.").tag(sync=True)
    seed = OneOf("map", SEEDS, help="What is sent back: map, the whole channel, or place, one unit.")
    frozen = t.Bool(False, help="Whether the signal goes on beginning where it does.").tag(sync=True)
    origin = t.Unicode(read_only=True, help="Where the signal begins, layer:channel.").tag(sync=True)
    view = OneOf("norm", VIEWS, help="What of the signal is shown, one of `views`.")
    views = t.List(help="The views there are: {name, label, sentence, own} of each.").tag(sync=True)
    overlay = OneOf("none", OVERLAYS, help="none, or active or inactive: where the image shines through.")
    colormap = OneOf(
        "auto",
        ["auto", *TILE_COLORMAPS],
        help="One of `colormaps`, or auto: with a neutral zero where there is a sign.",
    )
    colormaps = t.List(t.Unicode(), help="The colour maps there are, by matplotlib's names.").tag(sync=True)
    scale = OneOf("layer", SCALES, help="layer, where a colour means one value, or channel: each its own.")
    boost = Number(0, 0, 1, "Boost", help="Lifts weak channels: 0 not at all, 1 to the end of the colours.")
    gamma = Number(1, 0.1, 1, "Gamma", log=True, help="The exponent of the colours: less than 1 lifts weak values.")
    status = t.Unicode(read_only=True, help="What is shown, in a line.").tag(sync=True)

    _subject: Explored

    def _take_unit(self, layer: str, channel: int | None) -> None:
        self.layer = layer
        if channel is not None:
            self.channel = channel

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        return self._subject.layer(proposal["value"]) if proposal["value"] else ""

    @t.validate("place")
    def _validate_place(self, proposal: Any) -> list[int]:
        place, shape = proposal["value"], self._shape()
        if not place or shape is None:
            return place
        rows, columns = shape[1:]
        if len(place) != 2 or not (0 <= place[0] < rows and 0 <= place[1] < columns):
            raise InvalidValueError(
                f"place is [row, column] in a channel of {rows} × {columns}, or empty for the strongest, not {place!r}"
            )
        return place

    @t.validate("page")
    def _validate_page(self, proposal: Any) -> int:
        page, pages = proposal["value"], self._pages()
        if page < 0 or (pages is not None and page >= pages):
            raise InvalidValueError(f"no page {page}: layer {self.layer!r} has {pages}, counted from 0")
        return page

    def _shape(self) -> tuple[int, int, int] | None:
        """(channels, rows, columns) of the layer; None before the look."""
        with self._unhurried():
            shape = self._subject.row(self.layer).get("shape")
        if not shape:
            return None
        channels, *rest = shape
        return (channels, 1, rest[0] if rest else 1) if len(rest) < 2 else (channels, rest[0], rest[1])

    def _pages(self) -> int | None:
        shape = self._shape()
        return None if shape is None else -(-shape[0] // PAGE)
