"""What drives a channel in real pictures, beside what is dreamt of it.

Messages from a view, beside those of `objectives`: `patches` with an id, for the patches side by side as one picture.
"""

import functools
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import traitlets as t

from nbvis.engine import Network, Statistics
from nbvis.sessions import Lookout, described

from .channel_answers import Patch, found_patches
from .data_set import DataSet
from .objectives import ObjectiveWidget
from .passport import reduced
from .sheet import Cell
from .statistics_controls import given_statistics
from .statistics_painting import PATCH, atlas, atlas_places, contact_sheet
from .terms import class_of
from .views import figure

SIDE = 480
"""Pixels of all patches together on a saved page."""

Unit = tuple[str, int]
"""A layer, and the number of one of its channels."""


class Wish:
    """The unit whose patches are wanted; what looks for those of another one gives up."""

    def __init__(self) -> None:
        self.unit: Unit | None = None


class OutdatedError(Exception):
    """Nobody wants to know any more."""


class Real(NamedTuple):
    """What was found of a unit.

    Attributes:
        unit: whose patches they are.
        found: they themselves, highest answer first; no larger than they are shown.
        note: what has to be said of them, or why there are none.
    """

    unit: Unit
    found: tuple[Patch, ...]
    note: str


class RealPatchesWidget(ObjectiveWidget):
    """A panel on an objective, with the real patches that drive its selected term most."""

    _real = t.Dict(help="The patches: {of, patches: {value, image, seen} of each, note}.").tag(sync=True)

    def _start_beside(self, network: Network, statistics: Statistics | None, batches: Any) -> None:
        """Takes what the patches are found in; called before any trait is set.

        Raises:
            TypeError: if the statistics or the batches are none.
            ValueError: if the statistics are of another network, or there are batches without any.
        """
        self._statistics = given_statistics(statistics, "statistics")
        self._data = None if batches is None else DataSet(batches)
        if (statistics is None) != (batches is None):
            raise ValueError(
                "real patches need both the statistics and the batches that they are of: "
                "DreamCanvas(network, image, statistics=collect(network, batches), batches=batches)"
            )
        if statistics is not None:
            statistics.check(network)
        self._wish, self._patches = Wish(), Real(("", 0), (), "")
        self._patch_lookout = Lookout(self._on_failure)

    @property
    def patches(self) -> tuple[Patch, ...]:
        """What drives the selected term most in the batches, highest answer first; waits until it is found.

        Raises:
            RuntimeError: if there are none; the message says why.
        """
        self._lookout.wait()
        if self._trial is not None:
            self._trial.wait()  # it tells which layer has the classes
        self._patch_lookout.wait()
        with self._traits_lock:
            if not self._patches.found:
                raise RuntimeError(f"there are no patches: {self._real.get('note') or 'no statistics were given'}")
            return self._patches.found

    def _patch_cells(self) -> list[Cell]:
        """The patches as a saved page has them; none where there are none."""
        found, name = self._patches.found, _name(self._patches.unit)
        if not found:
            return []
        line = f"{figure(found[0].value)} to {figure(found[-1].value)}"
        return [Cell(contact_sheet(found, SIDE), f"Real patches that drive {name} most", line)]

    def _workers(self) -> list[Any]:
        own = getattr(self, "_patch_lookout", None)
        return [*super()._workers(), *([own] if own else [])]

    def _follow(self) -> None:
        super()._follow()
        self._look_for_patches()

    def _look_for_patches(self) -> None:
        """Has the patches found of what is dreamt of now, if they are not."""
        given, data = self._statistics, self._data
        if given is None or data is None or not self._subject.looked:
            return
        unit, said = self._driven(given)
        if self._real and unit == self._wish.unit and (unit or said == self._real["note"]):
            return
        self._wish.unit, self._patches = unit, Real(("", 0), (), "")
        self._real = {"of": _name(unit), "patches": [], "note": said, "sought": unit is not None}
        if unit and not self._patch_lookout.closed:
            work = functools.partial(_found, self._subject.network, given, data, unit, self._wish)
            self._patch_lookout.ask(work, self._on_patches, key="patches")

    def _driven(self, given: Statistics) -> tuple[Unit | None, str]:
        """The channel that the selected term is about, as the statistics have it; if there is none, why."""
        now = self.objective
        if now is None or self.term >= len(now.terms):
            return None, ""
        if (kind := class_of(now, self.term)) is not None:
            classes = self._tried.classes if self._tried else 0
            layer = next((name for name, each in reversed(list(given.items())) if each.shape == (classes,)), None)
            return (None, "The statistics have no layer of classes.") if layer is None else ((layer, kind), "")
        layer, channel = self._selected() or ("", None)
        if not layer:
            return None, "The selected term is about no channel."
        if channel is None:
            return None, "It is about a whole layer: pick one of its channels to see what drives it."
        return ((layer, channel), "") if layer in given else (None, f"The statistics do not have {layer}.")

    def _on_patches(self, real: Real) -> None:
        with self._traits_lock:
            if real.unit == self._wish.unit:
                self._patches = real
                self._real = _record(real)

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {"patches": lambda: self._reply(content, self._patch_picture)}

    def _patch_picture(self) -> bytes:
        if not self._patches.found:
            return b""
        held = io.BytesIO()
        atlas([each.seen for each in self._patches.found], PATCH).save(held, "PNG")
        return held.getvalue()


def _found(network: Network, statistics: Statistics, data: DataSet, unit: Unit, wish: Wish) -> Real:
    """The patches of a unit, unless another one is wished for meanwhile."""

    def tell(*far: Any) -> None:
        if wish.unit != unit:
            raise OutdatedError

    layer, channel = unit
    try:
        statistics.check(network)
        patches, notes = found_patches(network, data, statistics[layer], channel, False, tell)
    except OutdatedError:
        raise
    except Exception as error:  # the panel says it in the place of the patches
        return Real(unit, (), described(error))
    shown = tuple(each._replace(seen=reduced(each.seen), whole=reduced(each.whole)) for each in patches)
    return Real(unit, shown, " ".join(notes if patches or notes else ["The statistics keep no image for it."]))


def _record(real: Real) -> dict[str, Any]:
    places = atlas_places([each.seen for each in real.found], PATCH) if real.found else []
    rows = [
        {"value": each.value, "image": each.image, "seen": list(place)}
        for each, place in zip(real.found, places, strict=True)
    ]
    return {"of": _name(real.unit), "patches": rows, "note": real.note, "sought": False}


def _name(unit: Unit | None) -> str:
    return f"{unit[0]}:{unit[1]}" if unit else ""
