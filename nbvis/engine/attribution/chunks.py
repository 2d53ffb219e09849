"""Chunks of many samples: how many the network is shown at once, and sums over what comes a chunk at a time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..network.prepared import Prepared

_MOST_AT_ONCE = {"cpu": (3, 32), "mps": (16, 32), "cuda": (32, 64)}
"""Images in one chunk at most, with and without gradients; more gradients at once are hardly faster on the CPU."""

_ROOM = {"cpu": (2**30, 40 * 2**20), "mps": (2**30, 2**30), "cuda": (2**31, 2**31)}
"""Bytes of a chunk's activations, with and without gradients: what any such device has, so that the same call rounds
alike on every machine. On the CPU a forward pass of more is hardly faster for each image, and soon slower, since they
leave the cache (measured)."""


def chunk_size(prepared: Prepared, device: torch.device, gradients: bool) -> int:
    """As many images as speed asks for, and as fit into a room that each kind of device has.

    Args:
        prepared: what they are shown to; the bytes that one image makes on its way count.
        device: where it is.
        gradients: whether gradients will be asked for, or scores only.
    """
    kind = 0 if gradients else 1
    # A backward pass holds as much again as the forward pass leaves, a forward pass a few tensors at a time.
    needed = 2 * prepared.whole if gradients else 6 * prepared.widest
    most, room = (each.get(device.type, each["cpu"])[kind] for each in (_MOST_AT_ONCE, _ROOM))
    return max(1, min(most, room // max(1, needed)))


class Sums:
    """A weighted sum for each image, of what comes a few rows at a time.

    Attributes:
        rows: the sums by image.
    """

    def __init__(self, count: int):
        self._count = count
        self.rows: list[Tensor] = []

    def add(self, rows: Tensor, found: Tensor, weights: Sequence[float]) -> None:
        """Adds each of `found`, times its weight, to the sum of its row."""
        if not self.rows:
            self.rows += [torch.zeros_like(found[0]) for _ in range(self._count)]
        for row, each, weight in zip(rows.tolist(), found, weights, strict=True):
            self.rows[row].add_(each, alpha=weight)

    def stacked(self) -> Tensor:
        """The sums as one batch."""
        return torch.stack(self.rows)
