"""How many values each channel gave, their mean and spread, and how many are zero, at the cap, or not finite."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Counts and moments of some values of each channel; those of two lots of values merge into those of both.

    Attributes:
        count: finite values, (C,).
        mean: of them, (C,), float64.
        spread: root of the sum of their squared distances from the mean, (C,), float64; squares would vanish sooner.
        minimum: (C,); infinite if there is no value.
        maximum: (C,); minus infinity if there is no value.
        zeros: how many are exactly 0, (C,).
        capped: how many lie at the layer's cap, (C,).
        not_finite: how many values were NaN or infinite, and count nowhere else, (C,).
    """

    count: Tensor
    mean: Tensor
    spread: Tensor
    minimum: Tensor
    maximum: Tensor
    zeros: Tensor
    capped: Tensor
    not_finite: Tensor

    @classmethod
    def empty(cls, channels: int, device: torch.device) -> "Moments":
        """Of no values."""

        def whole() -> Tensor:
            return torch.zeros(channels, dtype=torch.int64, device=device)

        def real(value: float) -> Tensor:
            return torch.full((channels,), value, dtype=torch.float64, device=device)

        bounds = real(float("inf")), real(float("-inf"))
        return cls(whole(), real(0.0), real(0.0), *bounds, whole(), whole(), whole())

    def merge(self, other: "Moments") -> "Moments":
        """Of the values of both.

        Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", equation 2.1.
        """
        count = self.count + other.count
        share = other.count.double() / count.clamp(min=1)
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * share,
            _root(_root(self.spread, other.spread), apart.abs() * (self.count * share).sqrt()),
            torch.minimum(self.minimum, other.minimum),
            torch.maximum(self.maximum, other.maximum),
            self.zeros + other.zeros,
            self.capped + other.capped,
            self.not_finite + other.not_finite,
        )


def _root(one: Tensor, other: Tensor) -> Tensor:
    """The root of the sum of two squares that may be no numbers; PyTorch's own is wrong for small ones."""
    high, low = torch.maximum(one, other), torch.minimum(one, other)
    return high * (1 + (low / high.masked_fill(high == 0, 1.0)).square()).sqrt()
