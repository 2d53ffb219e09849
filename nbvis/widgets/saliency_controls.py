"""What can be set on a SaliencyView, and what cannot."""

from typing import Any

import traitlets as t

from nbvis.engine import Method, Objective, Pair, near

from .explaining import OPTIONS
from .later import LaterList, LaterText
from .numbers import InvalidValueError, Number, OneOf, one_of
from .painting import COLORMAPS, OVERLAYS
from .pictures import PictureWidget
from .predicted import Predicted
from .rows import possible_layer
from .units import UnitWidget
from .views import VIEWS

CLICKS = ("look", "occlude", "unit")
"""What a click on a picture does: nothing, cover a square, or explain the unit there."""

MOST = 3
"""Methods beside the first."""


class SaliencyControls(PictureWidget, UnitWidget):
    """The traits of a SaliencyView, each with what it takes."""

    method = t.Unicode("gradient", help="The method of the first map, one of `methods`.").tag(sync=True)
    compare = t.List(t.Unicode(), help="Up to three methods whose maps stand beside it.").tag(sync=True)
    methods = t.List(help="The methods there are: {name, label, sentence, place, sliders} of each.").tag(sync=True)
    target = t.Any(help="A class by index or label, None for the predicted one, or an objective.").tag(
        sync=True, to_json=lambda value, _: None if isinstance(value, Objective) else value
    )
    expression = LaterText(help="What is explained: the class's label, or the objective.").tag(sync=True)
    labels = LaterList(t.Unicode(), help="The classes' labels; empty if the output has no classes.").tag(sync=True)
    top = LaterList(help="The five likeliest classes: {index, label, probability} of each.").tag(sync=True)
    layer = LaterText(help="The layer of the class activation maps, and of units clicked on.").tag(sync=True)
    layers = LaterList(help="The layers with rows and columns: {name, kind, shape} of each.").tag(sync=True)
    place = t.Unicode(help="Where the map of a gradient lives: a layer, or empty for the image.").tag(sync=True)
    channel = t.Int(None, allow_none=True, help="Of units clicked on; None for the strongest there.").tag(sync=True)
    view = OneOf("signed", VIEWS, help="What of the maps is shown, one of `views`.")
    views = t.List(help="The views there are: {name, label, sentence, own} of each.").tag(sync=True)
    overlay = OneOf("none", OVERLAYS, help="none, blend, active or inactive: how the image shines through.")
    opacity = Number(0.6, 0, 1, "Opacity", help="Of the map in the overlay blend.")
    colormap = OneOf(
        "auto", ["auto", *COLORMAPS], help="One of `colormaps`, or auto: with a neutral zero where there is a sign."
    )
    colormaps = t.List(t.Unicode(), help="The colour maps there are, by matplotlib's names.").tag(sync=True)
    locked = t.Bool(False, help="Whether all maps keep the same colour limits, whatever changes.").tag(sync=True)
    window: int
    vars().update({name: Number.of(option) for name, option in OPTIONS.items()})  # one trait for each
    click = OneOf("look", CLICKS, help="What a click on a picture does: look, occlude or unit.")
    covered = t.List(help="[row, column] of the top left corner of each covered square of side `window`.")
    covered.tag(sync=True)
    preprocessing = t.Unicode(help="What the network really sees, and whether something else fits it.").tag(sync=True)
    preprocessing_fit = t.Unicode(
        "unknown", help="good; poor if another preprocessing fits much better; unknown where nothing tells."
    ).tag(sync=True)
    bars = t.List(help="Once measured: {name, label, insertion, deletion, reference} of each map.").tag(sync=True)
    sanity = t.Dict(help="Once checked: {method, label, passed, verdict, stages} of the first map.").tag(sync=True)

    _subject: Predicted
    _methods: dict[str, Method]
    _no_channel = "the strongest"

    @t.validate("method")
    def _validate_method(self, proposal: Any) -> str:
        return one_of("method", proposal["value"], list(self._methods))

    @t.validate("compare")
    def _validate_compare(self, proposal: Any) -> list[str]:
        names = [one_of("method", name, list(self._methods)) for name in dict.fromkeys(proposal["value"])]
        others = [name for name in names if name != self.method]
        if len(others) > MOST:
            raise InvalidValueError(f"at most {MOST} methods stand beside the first, not {len(others)}")
        return others

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        return self._with_space("layer", proposal["value"])

    @t.validate("place")
    def _validate_place(self, proposal: Any) -> str:
        if proposal["value"]:
            self._refuse_pairs(f"place {proposal['value']!r}")
        return self._with_space("place", proposal["value"]) if proposal["value"] else ""

    def _refuse_pairs(self, what: str) -> None:
        if self._subject.network.pair not in (None, Pair.WIDTH):
            raise InvalidValueError(
                f"{what} is one in a single picture of a pair, or in both at once: LayerExplorer shows layers of pairs"
            )

    def _with_space(self, what: str, name: str) -> str:
        if not self._subject.looked:
            return possible_layer(name, self._subject.network.module) if name else name
        names = [row["name"] for row in self._subject.layers]
        if name in self._subject.flat:
            raise InvalidValueError(f"{what} {name!r} has no rows and columns to map{near('', names[::-1])}")
        return one_of(what, name, names) if names or name else name

    @t.validate("covered")
    def _validate_covered(self, proposal: Any) -> list[list[int]]:
        return [self._pixel(corner) for corner in proposal["value"]]

    def _pixel(self, place: Any) -> list[int]:
        """A [row, column] that lies in the image."""
        height, width = self._subject.size
        if not (isinstance(place, list | tuple) and len(place) == 2 and all(isinstance(each, int) for each in place)):
            raise InvalidValueError(f"a place in the image is [row, column] in pixels, not {place!r}")
        if not (0 <= place[0] < height and 0 <= place[1] < width):
            raise InvalidValueError(f"the image has {height} × {width} pixels, so there is none at {tuple(place)}")
        return list(place)
