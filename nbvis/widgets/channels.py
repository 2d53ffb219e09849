"""The channels of a layer: their figures, and which of them are shown in which order."""

import re
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbvis.engine import LayerStatistics

from .numbers import InvalidValueError


class Sort(NamedTuple):
    """A way to sort channels.

    Attributes:
        label: its name on the panel.
        figure: what is said of each channel then.
        percent: whether that is a share.
    """

    label: str
    figure: str
    percent: bool = False


SORTS = {
    "index": Sort("by number", "mean"),
    "zeros": Sort("most zeros first", "zeros", True),
    "fewest_zeros": Sort("fewest zeros first", "zeros", True),
    "saturated": Sort("most saturated first", "saturated", True),
    "mean": Sort("highest mean first", "mean"),
    "lowest_mean": Sort("lowest mean first", "mean"),
    "std": Sort("widest spread first", "std"),
    "narrowest": Sort("narrowest spread first", "std"),
    "maximum": Sort("highest maximum first", "maximum"),
    "minimum": Sort("lowest minimum first", "minimum"),
    "change": Sort("most changed first", "change"),
}
"""The ways, by name; the change is that of the mean since before, in standard deviations of both."""

_RISING = ("fewest_zeros", "lowest_mean", "narrowest", "minimum")


def figures(layer: LayerStatistics, before: LayerStatistics | None = None) -> dict[str, Tensor]:
    """The figures of all channels by their names, (C,) each; NaN where there is none."""
    found = {
        "mean": layer.mean,
        "std": layer.std,
        "minimum": layer.minimum,
        "maximum": layer.maximum,
        "zeros": layer.zero_fraction,
        "saturated": layer.saturated_fraction,
    }
    if before is not None:
        found["change"] = change(layer, before)
    return found


def change(layer: LayerStatistics, before: LayerStatistics) -> Tensor:
    """How far the mean of each channel has moved, (C,), in units of its spread: the root mean square of both."""
    spread = ((layer.std.square() + before.std.square()) / 2).sqrt()
    moved = layer.mean - before.mean
    return torch.where(spread > 0, moved / spread, moved.sign() * torch.where(moved == 0, 0.0, float("inf")))


def dead(layer: LayerStatistics) -> Tensor:
    """Which channels give the same value everywhere, (C,); one that has given no value yet does not count."""
    return layer.constant & (layer.count > 0)


def saturated(layer: LayerStatistics) -> Tensor:
    """Which channels have at least half their values at the layer's cap, (C,)."""
    return layer.saturated_fraction.nan_to_num(0.0) >= 0.5


def listed(layer: LayerStatistics, before: LayerStatistics | None, sort: str, query: str) -> list[int]:
    """The channels that answer a query, in an order; equal ones by number.

    Args:
        layer: whose channels.
        before: the same layer before, to sort by change.
        sort: one of `SORTS`.
        query: what `searched` takes.
    """
    wanted = searched(query, layer)
    order = torch.arange(layer.shape[0])
    if sort != "index" and (sort != "change" or before is not None):
        values = figures(layer, before)[SORTS[sort].figure]
        values = values.abs() if sort == "change" else values
        rank = values if sort in _RISING else -values
        order = rank.nan_to_num(float("inf"), float("inf"), float("-inf")).argsort(stable=True)
    return order[wanted[order]].tolist()


def searched(query: str, layer: LayerStatistics | None = None) -> Tensor:
    """Which channels answer a query, (C,).

    Args:
        query: numbers and ranges such as "3, 8-11", or dead, saturated, alive; empty for all.
        layer: whose channels; None to look at the query alone.

    Raises:
        InvalidValueError: if it is nothing of that.
    """
    count = layer.shape[0] if layer is not None else 1
    found = torch.zeros(count, dtype=torch.bool)
    words = [word for word in re.split(r"[,\s]+", query.strip().lower()) if word]
    kinds: dict[str, Any] = {"dead": dead, "saturated": saturated, "alive": lambda each: ~dead(each)}
    for word in words:
        span = re.fullmatch(r"(\d+)(?:[-–](\d+))?", word)
        if span:
            first, last = int(span[1]), int(span[2] or span[1])
            found[first : last + 1] = True
        elif word in kinds:
            found |= kinds[word](layer) if layer is not None else False
        else:
            raise InvalidValueError(f"search takes channels such as '3, 8-11', dead, saturated or alive, not {query!r}")
    return found if words else ~found
