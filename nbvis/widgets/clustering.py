"""How channels go together, in an order that shows which of them belong together."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

FULL = 1000
"""Channels up to which neighbours in the order are as alike as they can be; beyond that it would take many seconds."""


class Clustered(NamedTuple):
    """A correlation matrix with its order.

    Attributes:
        correlation: (C, C), NaN for what never varies.
        order: of the channels, those that never vary last.
        note: why there is none, empty if there is.
    """

    correlation: Tensor
    order: Tensor
    note: str = ""


def clustered(correlation: Tensor) -> Clustered:
    """A correlation matrix with the order in which channels that go together stand together.

    The channels are clustered by the mean of their distances 1 − r, and the order is that of the tree's leaves; up to
    1,000 channels the one with the least sum of distances between neighbours (Bar-Joseph, Gifford and Jaakkola 2001).

    Args:
        correlation: (C, C), NaN for what never varies.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    varies = (~correlation.diagonal().isnan()).nonzero()[:, 0]
    constant = correlation.diagonal().isnan().nonzero()[:, 0]
    order = np.arange(len(varies))
    if len(varies) > 2:
        apart = (1 - correlation[varies][:, varies].nan_to_num(0.0)).clamp(min=0).fill_diagonal_(0)
        distances = squareform(((apart + apart.T) / 2).double().numpy(), checks=False)
        tree = linkage(distances, "average")
        if len(varies) <= FULL:
            tree = optimal_leaf_ordering(tree, distances)
        order = leaves_list(tree)
    return Clustered(correlation.float(), torch.cat([varies[torch.from_numpy(order.astype(np.int64))], constant]))


def strongest(correlation: Tensor, channel: int, count: int = 8) -> list[tuple[int, float]]:
    """The channels that go together most with one, (channel, r) each, whatever the sign; none if it never varies."""
    row = correlation[channel].clone()
    row[channel] = float("nan")
    sizes, order = row.abs().nan_to_num(-1.0).sort(descending=True, stable=True)
    return [(each, row[each].item()) for each in order[:count][sizes[:count] >= 0].tolist()]
