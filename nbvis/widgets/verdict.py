"""What has come of a dream, in words: how a channel or class answers to it, and whether another network sees it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nbvis.engine import Network, Objective, activations, planes

from .predicted import chances
from .terms import class_of, unit_of
from .views import figure


def verdict(network: Network, judge: Network | None, objective: Objective, before: Tensor, after: Tensor) -> str:
    """Sentences on the picture against the one that it came from; empty where there is nothing to say.

    Of a channel it is said how much more it answers, and how many others answer more strongly, where its mask has it
    grow; of a class, how likely it has become; by the judge, what that network sees. It takes two passes, or four with
    a judge.

    Args:
        network: the one that was dreamt of.
        judge: another network; None for none.
        objective: whose heaviest term it is about.
        before: what the run came from, (1, channels, height, width) in [0, 1].
        after: the picture.
    """
    at = max(range(len(objective.terms)), key=lambda k: abs(objective.terms[k].weight))
    unit, kind = unit_of(objective, at), class_of(objective, at)
    found = []
    with torch.no_grad():
        if unit and unit[1] is not None:
            found.append(_of_channel(network, unit[0], unit[1], objective.terms[at].mask, before, after))
        if kind is not None:
            found.append(_of_class(network, kind, before, after))
        if judge is not None:
            found.append(_of_judge(judge, network.labels, kind, before, after))
    return " ".join(filter(None, found))


def _of_channel(network: Network, layer: str, channel: int, mask: Tensor | None, before: Tensor, after: Tensor) -> str:
    pictures = [planes(activations(network, image, [layer]), layer)[0] for image in (before, after)]
    means = [_means(each, mask) for each in pictures]
    first, now = (each[channel].item() for each in means)
    was, place = (int((each > each[channel]).sum()) + 1 for each in means)
    rank = f"{_ordinal(place)} of {len(means[1])} channels" + (f", before the {_ordinal(was)}" if was != place else "")
    more = f", {now / first:.3g} times as much as before" if first > 0 and now > first else f", before {figure(first)}"
    where = " where it is painted" if mask is not None and pictures[1].dim() == 3 else ""
    return f"Channel {channel} of {layer} answers with {figure(now)} on average{where}{more}; it is the {rank}."


def _means(answers: Tensor, mask: Tensor | None) -> Tensor:
    """How strongly each channel answers, (channels,), on average over all places, or those that a mask has painted."""
    if mask is None or answers.dim() != 3:
        return answers.reshape(len(answers), -1).mean(1)
    _, height, width = answers.shape
    weights = F.adaptive_avg_pool2d(mask[None].to(answers), (height, width))
    return (answers * weights).sum((1, 2)) / weights.sum()


def _of_class(network: Network, kind: int, before: Tensor, after: Tensor) -> str:
    first, now = (network(image) for image in (before, after))
    if now.dim() != 2:
        return ""
    return f"{_named(network.labels, kind)}: {_share(chances(first)[kind])} → {_share(chances(now)[kind])}."


def _of_judge(judge: Network, labels: list[str] | None, kind: int | None, before: Tensor, after: Tensor) -> str:
    first, now = (judge(image) for image in (before, after))
    if now.dim() != 2:
        return "The other network tells no classes apart."
    said = f"Seen by another network: {_top(judge, first)} → {_top(judge, now)}"
    shares = chances(now)
    if kind is None or judge.labels != labels or kind >= len(shares):
        return f"{said}."
    place = sum(each > shares[kind] for each in shares) + 1
    return f"{said}." if place == 1 else f"{said}; {_named(labels, kind)} is {_ordinal(place)}, {_share(shares[kind])}."


def _top(network: Network, output: Tensor) -> str:
    shares = chances(output)
    kind = max(range(len(shares)), key=shares.__getitem__)
    return f"{_named(network.labels, kind)} {_share(shares[kind])}"


def _named(labels: list[str] | None, kind: int) -> str:
    return labels[kind] if labels and kind < len(labels) else f"class {kind}"


def _share(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 else "< 0.01"


def _ordinal(place: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th") if place % 100 not in (11, 12, 13) else "th"
    return f"{place}{ending}"
