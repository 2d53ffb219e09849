"""SmoothGrad."""

import torch
from torch import Tensor

from ..arguments import whole
from .method import Found, Method, Option
from .passes import Passes


def smoothgrad(
    passes: Passes, *, samples: int = 50, noise: float = 0.15, chunk: int | None = None, seed: int = 0
) -> Found:
    """The mean gradient over copies of the image with Gaussian noise.

    1/n · Σₖ ∂S(x + gₖ) / ∂x, where gₖ has the standard deviation `noise`, and is the same for every image.
    Source: Smilkov et al. 2017, "SmoothGrad", arXiv 1706.03825, section 3.

    Args:
        passes: the network, the images and the target.
        samples: n, the noisy copies of each image.
        noise: standard deviation, in the images' unit.
        chunk: images that the network sees at once; None to choose.
        seed: of the noise.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="smoothgrad", samples=5).map.shape
        torch.Size([1, 3, 8, 8])
    """
    samples = whole(samples, "samples", 1)
    if not noise >= 0:
        raise ValueError(f"noise is a standard deviation from 0 up, in the images' unit, not {noise!r}")
    shape = passes.images.shape[1:]

    def noisy(rows: Tensor, numbers: Tensor) -> Tensor:
        grains = {number: _grain(shape, seed, number).to(passes.images) for number in set(numbers.tolist())}
        return passes.images[rows] + noise * torch.stack([grains[number] for number in numbers.tolist()])

    score = passes.scores(passes.images)
    return Found(passes.mean_gradient(noisy, [1 / samples] * samples, chunk, inside=False), score)


def _grain(shape: torch.Size, seed: int, number: int) -> Tensor:
    """The noise of one sample, whatever the batch and the chunks around it."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return torch.randn(shape, generator=generator)


SAMPLES = Option(
    "samples", "Samples", 50, 1, 300, "Noisy images that SmoothGrad averages over.", whole=True, log=True
)  # fmt: skip
NOISE = Option(
    "noise", "Noise", 0.15, 0, 1, "Standard deviation of SmoothGrad's noise; the image lies in [0, 1]."
)  # fmt: skip

METHOD = Method(
    smoothgrad,
    "SmoothGrad",
    "The mean gradient over images with Gaussian noise, the same for every image.",
    by_size=True,
    sliders=(SAMPLES, NOISE),
)
