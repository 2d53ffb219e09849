"""The weights of a layer, channel by channel."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nbvis.sessions import Known, Tell

from .clustering import Clustered, clustered

BINS = 50
"""Of the histograms of weights."""


class Weights(NamedTuple):
    """The weights of a layer's channels.

    Attributes:
        histogram: how many weights of each channel fell into each bin, (C, bins).
        edges: the bins' bounds, (bins + 1,).
        zeros: how many are exactly 0, (C,).
        bias: (C,); None where there is none.
        clustered: how the filters go together.
    """

    histogram: Tensor
    edges: Tensor
    zeros: Tensor
    bias: Tensor | None
    clustered: Clustered


def weights_of(module: nn.Module, layer: str, channels: int, tell: Tell, known: Known) -> Weights:
    """The weights of a module by channel.

    Raises:
        ValueError: if it has none of its own.
    """
    filters = filters_of(module, channels)
    if filters is None:
        raise ValueError(
            f"{layer}, a {type(module).__name__}, has no filters of its own: pick a convolution or a linear layer."
        )
    low, high = filters.min().item(), filters.max().item()
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    bin = ((filters - low) * (BINS / (high - low))).floor().clamp(0, BINS - 1).long()
    counts = torch.zeros(channels, BINS, dtype=torch.int64).scatter_add_(1, bin, torch.ones_like(bin))
    bias = getattr(module, "bias", None)
    bias = bias.detach().double().cpu() if isinstance(bias, Tensor) and bias.shape == (channels,) else None
    return Weights(counts, edges, (filters == 0).sum(1), bias, clustered(alike(filters)))


def filters_of(module: nn.Module, channels: int) -> Tensor | None:
    """The filters of a module, (channels, weights of each) in double precision on the CPU; None if it has none."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() < 2:
        return None
    weight = weight.detach().double().cpu()
    if "ConvTranspose" in type(module).__name__:
        groups = getattr(module, "groups", 1)
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return weight.flatten(1) if len(weight) == channels else None


def alike(filters: Tensor) -> Tensor:
    """Pearson's correlation of filters, (C, C); NaN for one whose weights are all the same."""
    centred = filters - filters.mean(1, keepdim=True)
    length = centred.norm(dim=1).masked_fill(filters.amin(1) >= filters.amax(1), float("nan"))
    found = (centred @ centred.T / length / length[:, None]).clamp(-1, 1)
    found.diagonal().masked_fill_(~length.isnan(), 1.0)
    return found
