"""Integrated gradients."""

import numpy as np
import torch
from torch import Tensor

from ..arguments import whole
from .method import Found, Method, Option, baseline_like
from .passes import Passes


def integrated_gradients(
    passes: Passes, *, steps: int = 50, baseline: float | Tensor = 0.0, chunk: int | None = None
) -> Found:
    """The difference from a baseline times the mean gradient on the straight line from there.

    (x − x₀) · ∫₀¹ ∂S(x₀ + t (x − x₀)) / ∂x dt, the integral being a Gauss-Legendre sum of `steps` points. The map adds
    up to S(x) − S(x₀), as far as the points suffice; if they do not, a note says so.
    Source: Sundararajan, Taly and Yan 2017, "Axiomatic attribution", arXiv 1703.01365, equation 1.

    Args:
        passes: the network, the images and the target.
        steps: points on the line.
        baseline: x₀, a number or a tensor that fits the images.
        chunk: images that the network sees at once; None to choose.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="integrated_gradients", steps=20).map.shape
        torch.Size([1, 3, 8, 8])
    """
    nodes, weights = np.polynomial.legendre.leggauss(whole(steps, "steps", 1))
    places = torch.as_tensor((1 + nodes) / 2).to(passes.images)
    start_image = baseline_like(passes.images, baseline)
    start, end = passes.values(start_image), passes.values(passes.images)

    def point(rows: Tensor, samples: Tensor) -> Tensor:
        along = places[samples].view(-1, *[1] * (end.dim() - 1))
        return start[rows] + along * (end - start)[rows]

    score = passes.scores(passes.images)
    found = passes.mean_gradient(point, (weights / 2).tolist(), chunk, inside=True) * (end - start)
    return Found(found, score, _off(found, score - passes.scores(start_image)))


def _off(found: Tensor, difference: Tensor) -> list[str]:
    """A note, if the map does not add up to the difference."""
    total = found.flatten(1).sum(1)
    gap = (total - difference).abs() / difference.abs().clamp(min=1e-6)
    row = int(gap.nan_to_num(0).argmax())
    if gap[row] <= 0.05:
        return []
    return [
        f"The map adds up to {total[row].item():.4g}, and should to {difference[row].item():.4g}, the score's "
        "difference from the baseline: more steps bring it closer."
    ]


STEPS = Option("steps", "Steps", 50, 2, 300, "Points of integrated gradients on the line.", whole=True, log=True)

METHOD = Method(
    integrated_gradients,
    "Integrated gradients",
    "The difference from a baseline times the mean gradient on the straight line from there.",
    sliders=(STEPS,),
)
