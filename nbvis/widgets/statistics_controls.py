"""What can be set on an ActivationStats, and what cannot."""

from dataclasses import replace
from typing import Any

import traitlets as t

from nbvis.engine import Statistics

from .channel_answers import View
from .channels import SORTS, searched
from .collection import Surveyed
from .later import LaterText
from .numbers import InvalidValueError, OneOf, one_of
from .questions import QuestionWidget
from .units import UnitWidget

VALUES = ("activations", "weights")
PATCHES = ("highest", "lowest")


class StatisticsControls(QuestionWidget, UnitWidget):
    """The traits of an ActivationStats, each with what it takes."""

    layer = LaterText(help="The layer whose channels are shown.").tag(sync=True)
    channel = t.Int(None, allow_none=True, help="The channel that is shown large; None for none.").tag(sync=True)
    values = OneOf("activations", VALUES, help="activations or weights: whose histograms and correlation.")
    sort = t.Unicode("zeros", help="How the channels are sorted, one of `sorts`.").tag(sync=True)
    sorts = t.List(help="The ways to sort there are: {name, label} of each.").tag(sync=True)
    search = t.Unicode("", help="Which channels: '3, 8-11', dead, saturated or alive; empty for all.").tag(sync=True)
    page = t.Int(0, help="Which page of the channels, counted from 0.").tag(sync=True)
    log = t.Bool(False, help="Whether bars are as high as the logarithms of their counts.").tag(sync=True)
    patches = OneOf("highest", PATCHES, help="highest or lowest: which answers of the channel the patches are of.")
    common_axis = t.Bool(False, help="Whether all histograms have one axis; otherwise each its own.").tag(sync=True)
    zoom = t.List(t.Int(), help="The part of the matrix: [first row, first column, side]; empty for all.")
    zoom.tag(sync=True)
    images = t.Int(0, read_only=True, help="How many images have been counted.").tag(sync=True)

    _subject: Surveyed
    _before: Statistics | None
    _no_channel = "none"

    @property
    def before(self) -> Statistics | None:
        """Other statistics to compare with; None for none."""
        return self._before

    @before.setter
    def before(self, statistics: Statistics | None) -> None:
        self._before = given_statistics(statistics, "before")
        self.sorts = sorts(statistics)
        self.sort = "zeros" if statistics is None and self.sort == "change" else self.sort
        self._show_anew()

    def _view_shown(self) -> View:
        """How the channels are shown."""
        names = ("layer", "channel", "values", "sort", "search", "page", "log", "patches")
        found = View(*(getattr(self, name) for name in names), zoom=tuple(self.zoom))
        count = self._subject.channels(self.layer)
        beyond = found.channel is not None and count is not None and found.channel >= count
        return replace(found, channel=None) if beyond else found

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        return self._subject.layer(proposal["value"]) if proposal["value"] else ""

    @t.validate("sort")
    def _validate_sort(self, proposal: Any) -> str:
        if proposal["value"] == "change" and self._before is None:
            raise InvalidValueError("sorted by change are channels with statistics before: give before=")
        return one_of("sort", proposal["value"], list(SORTS))

    @t.validate("search")
    def _validate_search(self, proposal: Any) -> str:
        searched(proposal["value"])
        return proposal["value"]

    @t.validate("page")
    def _validate_page(self, proposal: Any) -> int:
        if proposal["value"] < 0:
            raise InvalidValueError(f"pages are counted from 0, so there is no page {proposal['value']}")
        return proposal["value"]

    @t.validate("zoom")
    def _validate_zoom(self, proposal: Any) -> list[int]:
        zoom, count = proposal["value"], self._subject.channels(self.layer)
        if zoom and (len(zoom) != 3 or min(zoom) < 0 or zoom[2] < 1):
            raise InvalidValueError(f"zoom is [first row, first column, side] in channels, or empty, not {zoom!r}")
        if zoom and count is not None and max(zoom[:2]) + zoom[2] > count:
            raise InvalidValueError(f"zoom {zoom!r} reaches beyond the {count} channels of {self.layer!r}")
        return zoom

    @t.observe("layer")
    def _on_layer(self, change: Any) -> None:
        if not change["old"]:  # it was left to the network to say
            return
        count = self._subject.channels(self.layer)
        self.page, self.zoom = 0, []
        if self.channel is not None and count is not None and self.channel >= count:
            self.channel = None

    @t.observe("sort", "search")
    def _on_order(self, change: Any) -> None:
        self.page = 0
        self._show_anew()

    @t.observe("page", "log", "zoom")
    def _on_look(self, change: Any) -> None:
        self._show_anew()


def sorts(before: Statistics | None) -> list[dict[str, str]]:
    """The ways to sort channels, {name, label} of each; by change only if there is something before."""
    known = [name for name in SORTS if name != "change" or before is not None]
    return [{"name": name, "label": SORTS[name].label} for name in known]


def given_statistics(given: Any, name: str) -> Statistics | None:
    """The statistics that were given, if they are some.

    Raises:
        TypeError: if they are something else.
    """
    if given is not None and not isinstance(given, Statistics):
        raise TypeError(
            f"{name} is what collect gave, or Statistics.load(path), not {type(given).__name__}: {given!r}"[:200]
        )
    return given
