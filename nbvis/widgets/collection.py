"""Statistics that are being collected, or were given: what a panel about them looks at."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from nbvis.engine import CollectStep, Layer, Network, Statistics, collecting, layers
from nbvis.sessions import Known, Tell

from .channels import dead, saturated
from .data_set import DataSet
from .rows import layer_rows
from .subject import DatedSubject

SHARE = 0.1
"""The part of the time that copying the statistics may take, so that they can be shown while they grow."""


class Summary(NamedTuple):
    """What is said of all layers, made once for statistics: whoever shows them asks many times a second.

    Attributes:
        rows: {name, kind, channels, known, dead, saturated} of each layer.
        remarks: the notes on the statistics as a whole and on broken values.
        notes: the other notes on each layer.
    """

    rows: list[dict[str, Any]]
    remarks: tuple[str, ...]
    notes: dict[str, tuple[str, ...]]


def summary(statistics: Statistics) -> Summary:
    """The summary of statistics."""
    rows, notes = [], {}
    for each in statistics.values():
        gone = dead(each)
        about = {"name": each.name, "kind": each.kind, "channels": each.shape[0], "known": bool((each.count > 0).any())}
        rows.append(about | {"dead": int(gone.sum()), "saturated": int((saturated(each) & ~gone).sum())})
        notes[each.name] = () if each.not_finite.any() else tuple(each.notes)
    quiet = {note for several in notes.values() for note in several}
    return Summary(rows, tuple(note for note in statistics.notes if note not in quiet), notes)


class Collection:
    """The statistics of a network in one state over a data set, as far as they are collected.

    It is worked on in turns, each of which goes on where the one before was ended.

    Args:
        steps: gives a step after each batch.
        total: how many batches there are; None if that is not known.
        found: statistics that are complete already, instead of steps.

    Attributes:
        found: the statistics so far, which never change any more; None before the first batch.
        summary: of the same; None before the first batch.
        images: how many images have been counted.
        nbytes: memory that the statistics take.
        over: whether all is collected.
        busy: whether a batch is on its way; also for a while after nobody wants more.
    """

    def __init__(self, steps: Iterator[CollectStep] | None, total: int | None = None, found: Statistics | None = None):
        self._steps, self._total = steps, total
        self.found, self.images, self.over = found, found.images if found else 0, found is not None
        self.summary = summary(found) if found else None
        self.nbytes = found.nbytes if found else 0
        self.broken = self.busy = False
        self._done, self._seconds = 0, 0.0
        self._copied = self._cost = 0.0

    def run(self, tell: Tell, known: Known) -> bool:
        """Collects until there is no more, or `tell` raises because that is not wanted now."""
        self.busy = True
        try:
            self._run(tell)
        finally:
            self.busy = False
        self.over = True
        return True

    def _run(self, tell: Tell) -> None:
        began, last = time.perf_counter(), None
        while (step := self._next()) is not None:
            now = time.perf_counter()
            self._seconds += now - began
            self._done, self.images, self.nbytes = step.index + 1, step.images, step.nbytes
            if not self._copied or now - self._copied > self._cost / SHARE:
                self._copy(step)
            try:
                tell(self._done, self._total or self._done, self.images)
            except BaseException:  # it ends here, and what is collected can be looked at meanwhile
                self._copy(step)
                raise
            began, last = time.perf_counter(), step
        if last is not None:
            self._copy(last)

    def _next(self) -> CollectStep | None:
        assert self._steps is not None
        try:
            return next(self._steps, None)
        except BaseException as error:
            self.broken = True
            if isinstance(error, ValueError):  # it ends the work, which is no answer
                raise RuntimeError(str(error)) from error
            raise

    def _copy(self, step: CollectStep) -> None:
        began = time.perf_counter()
        found = step.statistics
        self.summary = summary(found)
        self.found = found
        self._copied = time.perf_counter()
        self._cost = max(self._copied - began, 1e-3)

    @property
    def rate(self) -> float | None:
        """Images a second, over all turns; None before the first."""
        return self.images / self._seconds if self._seconds else None

    @property
    def left(self) -> float | None:
        """Seconds to go; None where that is not known."""
        if self.over or not self._done or self._total is None:
            return None
        return self._seconds / self._done * max(self._total - self._done, 0)


class Surveyed(DatedSubject):
    """A network, and the data set that its statistics are of.

    Args:
        network: the network.
        data: the images; None where there are only statistics.
        given: statistics that were collected before; None to collect them.
        options: those of `collect`.

    Attributes:
        known: the layers, as `engine.layers` has them for the first image; none where there is no image.
        collection: the statistics as far as there are any.
    """

    def __init__(self, network: Network, data: DataSet | None, given: Statistics | None, options: Mapping[str, Any]):
        super().__init__(network, image=torch.empty(0, 3, 1, 1))  # until the first image is read
        self.data, self.statistics, self.options = data, given, dict(options)
        self.known: dict[str, Layer] = {}
        self._collections: dict[Any, Collection] = {}

    def _find(self, *wanted: Any) -> None:
        if self.statistics is not None:
            self.statistics.check(self.network)
            self.layers = [
                {"name": each.name, "kind": each.kind, "shape": list(each.shape)} for each in self.statistics.values()
            ]
        if self.data is not None:
            self.image = self.data.first()
            found = layers(self.network, self.image)
            self.known = {layer.name: layer for layer in found}
            if self.statistics is None:
                names = self.options.get("layers")
                rows = {row["name"]: row for row in layer_rows(found)}
                # A layer that is called several times is shown call by call, as its statistics are.
                every = [name for name in rows if f"{name}:0" not in rows] if names is None else names
                self.layers = [rows[name] for name in every if name in rows]
        self.about = self._now()
        self.begin()

    def prepare(self) -> None:
        """Takes the network as it is now, and its statistics so far if there are any."""
        self.renew()
        self.begin()

    def begin(self) -> Collection:
        """The statistics of the network as it is now; refuses options that cannot be.

        Raises:
            ValueError, TypeError: as `collect`.
        """
        if self.statistics is not None:
            self._collections.setdefault("given", Collection(None, found=self.statistics))
            return self._collections["given"]
        assert self.data is not None
        known = self._collections.get(self.about)
        if known is None or known.broken:
            steps = collecting(self.network, self.data.batches(), **self.options)
            self._collections = {self.about: Collection(steps, self.data.total)}
        return self._collections[self.about]

    def channels(self, layer: str) -> int | None:
        """How many channels a layer has; None where that is not known, as of a layer's call before it is collected."""
        held = self.collection
        if held is not None and held.found is not None and layer in held.found:
            return held.found[layer].shape[0]
        return None if ":" in layer else super().channels(layer)

    @property
    def collection(self) -> Collection | None:
        """The newest statistics, also if the network has changed since; None before the look."""
        return next(iter(self._collections.values()), None)

    @property
    def name(self) -> str:
        """The network, and how many images there are."""
        collected = self.collection
        count = self.data.images if self.data and self.looked and self.statistics is None else None
        count = collected.images if count is None and collected and collected.over else count
        return self.network.name + (f" · {count:,} images" if count is not None else "")

    @property
    def changed(self) -> bool:
        """Whether the network has changed since the statistics were begun."""
        return self.looked and super().changed
