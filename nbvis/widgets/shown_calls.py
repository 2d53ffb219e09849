"""The calls of a layer whose maps are shown: one, or those for the two pictures of a pair side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nbvis.engine import Layer, Network, Objective, Pair, activations, channel, each_call, energy, planes, unit

Lane = tuple[float, float]
"""From where to where across the picture a map lies, shares of its width."""
WHOLE: tuple[Lane, ...] = ((0.0, 1.0),)
SIDES: tuple[Lane, ...] = ((0.0, 0.5), (0.5, 1.0))


class Calls(NamedTuple):
    """Which calls of a layer are shown as its maps.

    Attributes:
        names: their addresses, from left to right.
        columns: of the map of one of them.
        grid: whether it has rows and columns.
    """

    names: tuple[str, ...]
    columns: int
    grid: bool

    def at(self, place: tuple[int, int]) -> tuple[str, tuple[int, int]]:
        """The call that a place in the maps is of, and the place in that call's own."""
        row, column = place
        number = min(column // self.columns, len(self.names) - 1)
        return self.names[number], (row, column - number * self.columns)

    def whole(self, index: int) -> Objective:
        """What is derived for a whole channel: the energies of all calls together."""
        found = energy(self.names[0], index)
        for name in self.names[1:]:
            found = found + energy(name, index)
        return found

    def one(self, index: int, place: tuple[int, int] | None) -> Objective:
        """What is derived for one place of a channel, None for the strongest of a single call."""
        name, inside = (self.names[-1], None) if place is None else self.at(place)
        return unit(name, index, *(inside or ())) if self.grid else channel(name, index)

    def maps(self, network: Network, image: Tensor) -> Tensor:
        """What the layer gives for an image, (channels, rows, columns) on the CPU; one row where it has no grid."""
        (found,) = every_map(network, image, [self])
        return found


def every_map(network: Network, image: Tensor, wanted: Sequence[Calls]) -> list[Tensor]:
    """What several layers give for an image, by one pass; see `Calls.maps`."""
    found = activations(network, image, [*dict.fromkeys(name for calls in wanted for name in calls.names)])
    return [torch.cat([as_maps(planes(found, name)[0]) for name in calls.names], -1) for calls in wanted]


def calls_of(layer: Layer, pair: Pair | None) -> Calls:
    """Which calls of a layer are shown under its bare name.

    Of a pair those are the last that saw the first picture alone and the last that saw the second one alone, by the
    trace of a pass; else the last.

    Args:
        layer: as `layers` tells it.
        pair: how the network takes pairs.
    """
    shape, each = layer.planes_shape, (*layer.earlier, layer)
    columns, grid = (shape[2] if len(shape) == 3 else 1), len(shape) == 3
    saw = [sides(one, pair) for one in each]
    places = [max((k for k, seen in enumerate(saw) if seen == (side,)), default=None) for side in SIDES]
    first, second = places
    if first is None or second is None or each[first].planes_shape != each[second].planes_shape:
        return Calls((layer.name,), columns, grid)
    names = each_call(layer.name, layer.calls)
    return Calls((names[first], names[second]), columns, grid)


def sides(layer: Layer, pair: Pair | None) -> tuple[Lane, ...]:
    """Where across the picture what a call saw lies: all of it, or, of a pair, in one half, or in both alike."""
    if pair in (None, Pair.WIDTH):
        return WHOLE
    seen = layer.seen.pictures if layer.seen else {0, 1}
    return tuple(SIDES[number] for number in sorted(seen))


def as_maps(values: Tensor) -> Tensor:
    """The channels of a layer as maps, (channels, rows, columns) in single precision on the CPU.

    A layer without a grid has maps of one row.
    """
    values = values.detach().float().cpu()
    if values.dim() == 3:
        return values
    return values.reshape(len(values), 1, -1) if values.dim() < 3 else values.flatten(2)


def boxes(layer: Layer, pair: Pair | None, place: tuple[int, int], width: int) -> list[list[int]]:
    """The pixels that a unit of a call sees, [top, left, bottom, right] in each picture; none where that is not known.

    Args:
        layer: the call.
        pair: how the network takes pairs.
        place: of the unit, (row, column).
        width: of the picture, pixels.
    """
    found = layer.box(*place)
    if found is None or found[0][0] == found[0][1]:
        return []
    (top, bottom), (left, right) = found
    starts: Sequence[int] = [round(start * width) for start, _ in sides(layer, pair)]
    return [[top, start + left, bottom, start + right] for start in starts]
