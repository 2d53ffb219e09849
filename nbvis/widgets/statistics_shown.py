"""What an ActivationStats shows at one moment, before it is put into words and pictures."""

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nbvis.engine import LayerStatistics, Statistics

from .channel_answers import Patches, View
from .channel_weights import Weights
from .channels import listed
from .clustering import Clustered
from .collection import Collection
from .statistics_painting import Bars, bars, weight_bars

PAGE = 24
"""Channels on a page."""


@dataclass(frozen=True)
class Shown:
    """The statistics, and which part of them is shown.

    Attributes:
        network: its name.
        layers: those there are, as records of name, kind and shape.
        collection: the statistics as far as they are collected; None before the network has been looked at.
        before: others to compare them with.
        view: how they are shown.
        answers: what has been found out, by what: "correlation", "weights", "patches", "diagnosis".
        about: other values for other answers.
        working: whether it is being collected.
    """

    network: str
    layers: Sequence[Mapping[str, Any]]
    collection: Collection | None
    before: Statistics | None
    view: View
    answers: Mapping[str, Any]
    about: Hashable
    working: bool

    @property
    def found(self) -> Statistics | None:
        """The statistics so far."""
        return self.collection.found if self.collection else None

    @property
    def layer(self) -> LayerStatistics | None:
        """Those of the layer that is shown; None while there are none."""
        return self.found[self.view.layer] if self.found and self.view.layer in self.found else None

    @property
    def layer_before(self) -> LayerStatistics | None:
        """The same layer before; None where there is none that it can be compared with."""
        layer = self.layer
        if layer is None or self.before is None or layer.name not in self.before:
            return None
        before = self.before[layer.name]
        return before if before.shape[0] == layer.shape[0] else None

    @property
    def patches(self) -> Patches | None:
        """Those of the chosen channel; None while there are none."""
        found = self.answers.get("patches")
        return found if isinstance(found, Patches) else None

    @property
    def clustered(self) -> Clustered | None:
        """How the channels, or their weights, go together."""
        if self.view.values == "weights":
            weights = self.answers.get("weights")
            return weights.clustered if isinstance(weights, Weights) else None
        found = self.answers.get("correlation")
        return found if isinstance(found, Clustered) else None

    def window(self) -> tuple[Tensor, Tensor] | None:
        """The channels along the rows and the columns of the matrix that is shown."""
        if self.clustered is None:
            return None
        order, zoom = self.clustered.order, self.view.zoom
        if not zoom:
            return order, order
        top, left, side = zoom
        return order[top : top + side], order[left : left + side]

    @functools.cached_property
    def listed(self) -> list[int]:
        """The channels in their order, on all pages."""
        layer = self.layer
        return [] if layer is None else listed(layer, self.layer_before, self.view.sort, self.view.search)

    @functools.cached_property
    def on_page(self) -> list[int]:
        """Those on the page."""
        return self.listed[self.view.page * PAGE : (self.view.page + 1) * PAGE]

    def bars(self, channels: Sequence[int], before: bool = False) -> Bars | None:
        """The histograms of some channels, of now or before; None while there are none."""
        if self.view.values == "weights":
            weights = self.answers.get("weights")
            if before or not isinstance(weights, Weights):
                return None
            return weight_bars(weights.histogram, weights.zeros, weights.edges, channels)
        layer = self.layer_before if before else self.layer
        return bars(layer, channels) if layer is not None else None
