"""What a LayerExplorer looks at: a network and a picture, with all layers and what their units see."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nbvis.engine import Layer, Network, each_call

from .given import Given
from .predicted import Predicted
from .rows import has_places, layer_rows
from .shown_calls import WHOLE, Calls, Lane, boxes, calls_of, sides


class Explored(Predicted):
    """A network and a picture, with every layer that has channels.

    Args:
        network: the network.
        given: the picture.
        dead: how many channels of a layer never answered, by its name, as far as that is known.
        number: of the picture.

    Attributes:
        layers: of each also its `field`, (height, width) in pixels of the picture or None, its `calls`, how many of its
            channels are `dead`, None where that is not known, and how many `pictures` of a pair stand side by side in
            its channels, whose `shape` is that of all of them.
        first_layer: the layer to begin with, and `first_channel` the one that answers most there.
        seconds: that a pass to that layer took.
    """

    def __init__(self, network: Network, given: Given | None, dead: Mapping[str, int] | None = None, number: int = 0):
        self.dead = dict(dead or {})
        self.first_layer, self.first_channel, self.seconds = "", 0, 0.0
        self._found: dict[str, Layer] = {}
        self._shown: dict[str, Calls] = {}
        super().__init__(network, given, number=number)

    def _find(self, *wanted: Any) -> None:
        super()._find(*wanted)
        if not self.layers:
            raise ValueError("none of the network's layers has channels, so there is nothing to look at")
        spread = [*filter(has_places, self.layers)]
        shared = [row for row in spread if row["pictures"] > 1]
        names = [row["name"] for row in shared or spread or self.layers]
        self.first_layer = names[len(names) // 2]
        began = time.perf_counter()
        maps = self.shown(self.first_layer).maps(self.network, self.image)
        self.seconds = time.perf_counter() - began
        self.first_channel = int(maps.flatten(1).amax(1).argmax())

    def _list(self, found: list[Layer]) -> None:
        self._found = {layer.name: layer for layer in found}
        for layer in found:
            self._found |= dict(zip(each_call(layer.name, layer.calls), (*layer.earlier, layer), strict=True))
        self._shown = {layer.name: calls_of(layer, self.network.pair) for layer in found}
        self.layers = [row | self._about(row) for row in layer_rows(found)]

    def _about(self, row: dict[str, Any]) -> dict[str, Any]:
        name, shape = row["name"], row["shape"]
        layer, count = self._found[name], len(self.shown(name).names)
        field = layer.receptive_field
        if count > 1:
            shape = [shape[0], *(shape[1:2] if len(shape) == 3 else [1]), count * self.shown(name).columns]
        return {
            "shape": shape,
            "field": list(field) if field else None,
            "calls": layer.calls if name in self._shown else 1,
            "dead": self.dead.get(name),
            "pictures": count,
            "rows": layer.shape[0],
        }

    def shown(self, layer: str) -> Calls:
        """Which calls are shown as the maps of a layer."""
        if layer in self._shown or layer not in self._found:
            return self._shown.get(layer, Calls((layer,), 1, True))
        return calls_of(self._found[layer], None)._replace(names=(layer,))

    def nearby(self, layer: str, room: int) -> list[str]:
        """The layers around one in the list, the nearest first, as far as their activations fit into so many bytes."""
        middle = self.layers.index(self.row(layer))
        found: list[str] = []
        for _, row in sorted(enumerate(self.layers), key=lambda each: abs(each[0] - middle)):
            room -= math.prod(row["shape"]) * 4
            if room < 0:
                break
            found.append(row["name"])
        return found

    def lanes(self, layer: str) -> tuple[Lane, ...]:
        """Where across the picture the maps of a layer lie."""
        known = self._found.get(layer)
        if known is None or len(self.shown(layer).names) > 1:
            return WHOLE
        return sides(known, self.network.pair)

    def boxes(self, layer: str, place: tuple[int, int] | None) -> list[list[int]]:
        """The pixels that a unit of a layer sees, [top, left, bottom, right] each; none where that is not known.

        Args:
            layer: its name.
            place: of the unit in what is shown of the layer, (row, column); None where the layer has no grid.
        """
        name, inside = self.shown(layer).at(place or (0, 0))
        known = self._found.get(name)
        return boxes(known, self.network.pair, inside, self.size[1]) if known else []


def strongest_place(found: Tensor) -> tuple[int, int]:
    """(row, column) of the greatest value of a map (rows, columns); NaN is passed over."""
    place = int(torch.where(found.isnan(), -torch.inf, found).argmax())
    return place // found.shape[1], place % found.shape[1]
