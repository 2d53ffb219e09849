"""The rules that tell what is wrong with a layer from its statistics, and their thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from .layer_statistics import LayerStatistics
from .statistics import Statistics

THRESHOLDS = {
    "dead channels": 1.0,
    "inactive layer": 0.5,
    "saturated channels": 0.5,
    "duplicate channels": 0.98,
    "low effective rank": 0.02,
    "exploding scale": 1e3,
    "vanishing scale": 1e-3,
}
"""Each rule with the number from which on it finds something; `diagnose` says what the numbers are."""

ENOUGH_VALUES = 100
"""Values of a channel from which on it can be told that it is dead."""

ENOUGH_IMAGES = 64
"""Observations from which on it can be told how channels go together: of fewer, some do by chance."""

_NEAR = 0.05
"""Share of the way between a layer's two bounds that counts as being at one of them."""

_FEW = 2.0
"""Effective rank up to which a layer is low however few its channels, from four times as many on."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one layer.

    Attributes:
        rule: one of `THRESHOLDS`.
        layer: its name.
        channels: those it is about, by their index; none for what is wrong with the layer as a whole.
        measure: the number that was found.
        threshold: the number from which on it is wrong.
        sentence: all of this in words.
        groups: of the channels, those that are duplicates of each other.
        later: layers that hand the same values on, so that the same is wrong with them.
    """

    rule: str
    layer: str
    channels: tuple[int, ...]
    measure: float
    threshold: float
    sentence: str
    groups: tuple[tuple[int, ...], ...] = ()
    later: tuple[str, ...] = ()


def _finding(rule: str, layer: str, channels: Sequence[int], measure: float, sentence: str) -> Finding:
    return Finding(rule, layer, tuple(channels), measure, THRESHOLDS[rule], sentence)


Untold = dict[str, list[str]]
"""Layers about which nothing is told, by the reason."""


def _dead(layer: LayerStatistics, statistics: Statistics, untold: Untold) -> Iterator[Finding]:
    known = layer.count >= ENOUGH_VALUES
    if not known.all():
        untold.setdefault(f"Too few values to tell dead channels, which takes {ENOUGH_VALUES}", []).append(layer.name)
    dead = (layer.constant & known).nonzero()[:, 0].tolist()
    if not dead:
        return
    values = sorted(set(layer.minimum[dead].tolist()))
    value = f"{values[0]:.4g}" if len(values) == 1 else "the same value, each its own,"
    yield _finding(
        "dead channels", layer.name, dead, 1.0,
        f"{layer.name}: {_channels(dead)} of {layer.shape[0]} {_verb(dead, 'gives', 'give')} {value} everywhere in all "
        f"{statistics.images} images: dead.",
    )  # fmt: skip
    share = len(dead) / layer.shape[0]
    if layer.shape[0] > 1 and share >= THRESHOLDS["inactive layer"]:
        yield _finding(
            "inactive layer", layer.name, (), share,
            f"{layer.name}: {len(dead)} of {layer.shape[0]} channels are dead, {share:.0%} (inactive from "
            f"{THRESHOLDS['inactive layer']:.0%}).",
        )  # fmt: skip


def _saturated(layer: LayerStatistics, statistics: Statistics, untold: Untold) -> Iterator[Finding]:
    share = layer.saturated_fraction.nan_to_num(0.0)
    low, high = layer.cap
    if low is not None and high is not None:
        margin = _NEAR * (high - low)
        starts, ends = layer.edges[:-1], layer.edges[1:]
        near = (ends <= low + margin) | (starts >= high - margin)
        share = torch.maximum(share, layer.histogram[:, near].sum(1) / layer.count.clamp(min=1))
    found = (share >= THRESHOLDS["saturated channels"]).nonzero()[:, 0].tolist()
    if found:
        most = share[found].max().item()
        bounds = " or ".join(f"{each:g}" for each in (low, high) if each is not None)
        yield _finding(
            "saturated channels", layer.name, found, most,
            f"{layer.name}: {_channels(found)} of {layer.shape[0]} {_verb(found, 'is', 'are')} saturated: up to "
            f"{most:.0%} of the values lie at {bounds} (saturated from {THRESHOLDS['saturated channels']:.0%}).",
        )  # fmt: skip


def _together(layer: LayerStatistics, statistics: Statistics, untold: Untold) -> Iterator[Finding]:
    """Duplicate channels, and low effective rank."""
    if layer.pairs is None:
        untold.setdefault("No correlation was collected, so no duplicates and no rank", []).append(layer.name)
        return
    seen = int(layer.pairs.count)
    if seen < ENOUGH_IMAGES:
        reason = f"{seen} observations, and duplicates and rank take {ENOUGH_IMAGES}"
        untold.setdefault(reason, []).append(layer.name)
        return
    varied = (~layer.pairs.constant).nonzero()[:, 0].cpu()
    r = layer.correlation[varied][:, varied].nan_to_num(0.0)
    yield from _duplicates(layer, statistics, varied, r)
    most = min(len(varied), seen - 1)
    rank, limit = effective_rank(r, seen), max(_FEW, THRESHOLDS["low effective rank"] * most)
    if most >= 4 * _FEW and rank <= limit:
        sentence = f"{layer.name}: {len(varied)} channels vary in {rank:.1f} independent ways (low up to {limit:.1f})."
        yield Finding("low effective rank", layer.name, (), rank, limit, sentence)


def _duplicates(layer: LayerStatistics, statistics: Statistics, varied: Tensor, r: Tensor) -> Iterator[Finding]:
    enough = torch.ones(len(varied), dtype=torch.bool)
    if statistics.options.top:
        enough = (layer.top_values[:, -1] > layer.minimum)[varied]
    close = (r.abs() > THRESHOLDS["duplicate channels"]) & enough & enough[:, None]
    groups = [*_groups(close)]
    if groups:
        most = r.abs().fill_diagonal_(0.0)[close].max().item()
        named = tuple(tuple(varied[group].tolist()) for group in groups)
        shown = "; ".join(", ".join(map(str, group[:8])) + " …" * (len(group) > 8) for group in named[:4])
        more = f"; and {len(named) - 4} more groups" if len(named) > 4 else ""
        found = sorted(channel for group in named for channel in group)
        finding = _finding(
            "duplicate channels", layer.name, found, most,
            f"{layer.name}: {len(found)} of {layer.shape[0]} channels repeat each other ({shown}{more}): |r| up to "
            f"{most:.4f} (duplicates above {THRESHOLDS['duplicate channels']}).",
        )  # fmt: skip
        yield replace(finding, groups=named)


RULES = (_dead, _saturated, _together)
"""Each finds what is wrong with one layer, and notes what cannot be told of it."""


def effective_rank(correlation: Tensor, observations: int | None = None) -> float:
    """How many independent ways channels vary in: the exponential of the entropy of the matrix's eigenvalues.

    Args:
        correlation: (C, C), without NaN.
        observations: of how many it is; of few, most eigenvalues are 0 and the others found in a small matrix.

    Example:
        >>> round(effective_rank(torch.eye(3)), 6), round(effective_rank(torch.ones(3, 3)), 6)
        (3.0, 1.0)
    """
    if not len(correlation):
        return 0.0
    matrix = correlation.double()
    if observations is not None and 2 * observations < len(matrix):
        chance = torch.Generator().manual_seed(0)
        probes = torch.randn(len(matrix), observations, generator=chance, dtype=torch.float64)
        basis = torch.linalg.qr(matrix @ probes).Q  # of all that the matrix reaches
        matrix = basis.T @ matrix @ basis
    share = torch.linalg.eigvalsh(matrix).clamp(min=0)
    return torch.special.entr(share / share.sum()).sum().exp().item()


def _groups(linked: Tensor) -> Iterator[Tensor]:
    """The channels that are linked with each other, directly or through others; those linked with none left out."""
    linked = linked.clone().fill_diagonal_(False)
    label = torch.where(linked.any(1), torch.arange(len(linked)), -1)
    while len(linked):
        lower = torch.minimum(label, torch.where(linked, label[None], len(linked)).amin(1))
        if torch.equal(lower, label):
            break
        label = lower
    for each in label[label >= 0].unique():
        yield (label == each).nonzero()[:, 0]


def scales(statistics: Statistics) -> list[Finding]:
    """The first layer, each way, whose spread is out of proportion to that of the first layer with weights."""
    leaves = [each for each in statistics.values() if _weighted(each, statistics)]
    spreads = [(each.name, (each.std.square().nanmean().sqrt()).item()) for each in leaves]
    spreads = [(name, spread) for name, spread in spreads if spread > 0]
    found: dict[str, Finding] = {}
    for (before, _), (name, spread) in pairwise(spreads):
        ratio = spread / spreads[0][1]
        rule = "exploding scale" if ratio > 1 else "vanishing scale"
        limit = THRESHOLDS[rule]
        if rule not in found and (ratio >= limit if ratio > 1 else ratio <= limit):
            found[rule] = _finding(
                rule, name, (), ratio,
                f"{name}: its values spread by {spread:.3g}, {ratio:.3g} times as much as those of {spreads[0][0]} "
                f"({rule.split()[0]} from {limit:g} times; the layer before is {before}).",
            )  # fmt: skip
    return list(found.values())


def _weighted(layer: LayerStatistics, statistics: Statistics) -> bool:
    inside = f"{layer.name.partition(':')[0]}."
    return ("Conv" in layer.kind or "Linear" in layer.kind) and not any(name.startswith(inside) for name in statistics)


def _channels(found: Sequence[int]) -> str:
    shown = ", ".join(map(str, found[:8])) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    return f"channel {shown}" if len(found) == 1 else f"channels {shown}"


def _verb(found: Sequence[int], one: str, more: str) -> str:
    return one if len(found) == 1 else more
