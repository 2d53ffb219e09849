"""How the channels of a layer go together."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class CoMoments:
    """Means and co-moments of observations of all channels at once; those of two lots merge into those of both.

    Attributes:
        count: observations, (1,).
        mean: of each channel, (C,), float64.
        products: sums of the products of two channels' distances from their means, (C, C), float64.
        minimum: of each channel, (C,).
        maximum: of each channel, (C,).
    """

    count: Tensor
    mean: Tensor
    products: Tensor
    minimum: Tensor
    maximum: Tensor

    @classmethod
    def empty(cls, channels: int, device: torch.device) -> "CoMoments":
        """Of no observations."""
        zeros = torch.zeros(channels + 1, channels, dtype=torch.float64, device=device)
        bounds = torch.full((2, channels), float("inf"), dtype=torch.float64, device=device)
        count = torch.zeros(1, dtype=torch.int64, device=device)
        return cls(count, zeros[0].clone(), zeros[1:].clone(), bounds[0].clone(), -bounds[1])

    def add(self, rows: Tensor) -> None:
        """Takes observations, (observations, C); one in which any channel is not finite is left out."""
        rows = rows[rows.isfinite().all(1)].double()
        if not len(rows):
            return
        mean = rows.mean(0)
        apart = (mean - self.mean) * (len(rows) * self.count.double() / (self.count + len(rows))).sqrt()
        away = torch.cat([rows - mean, apart[None]])
        self.products.addmm_(away.T, away)
        self._join(len(rows), mean, rows.amin(0), rows.amax(0))

    def join(self, other: "CoMoments") -> None:
        """Takes those of another lot in."""
        apart = other.mean - self.mean
        share = self.count.double() * other.count / (self.count + other.count).clamp(min=1)
        self.products.add_(other.products).addr_(apart, apart * share)
        self._join(other.count, other.mean, other.minimum, other.maximum)

    def merge(self, other: "CoMoments") -> "CoMoments":
        """Of the observations of both."""
        found = CoMoments(self.count, self.mean, self.products.clone(), self.minimum, self.maximum)
        found.join(other)
        return found

    def _join(self, count: Tensor | int, mean: Tensor, minimum: Tensor, maximum: Tensor) -> None:
        self.count = self.count + count
        self.mean = self.mean + (mean - self.mean) * (count / self.count.double().clamp(min=1))
        self.minimum, self.maximum = torch.minimum(self.minimum, minimum), torch.maximum(self.maximum, maximum)

    @property
    def constant(self) -> Tensor:
        """Which channels never vary, (C,), so that they correlate with nothing."""
        return self.minimum >= self.maximum

    @property
    def correlation(self) -> Tensor:
        """Pearson's, (C, C), in [-1, 1]; NaN where a channel never varies."""
        spread = self.products.diagonal().sqrt().masked_fill(self.constant, float("nan"))
        found = (self.products / spread / spread[:, None]).clamp(-1, 1)
        found.diagonal().masked_fill_(~self.constant, 1.0)
        return found
