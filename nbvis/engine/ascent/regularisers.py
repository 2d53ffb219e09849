"""Regularisers: what is done to pixels after each update, so that they stay those of a picture.

A regulariser is a function (pixels, gradient, step) → pixels. The pixels are measured from the centre of the image
parameter, (batch, channels, height, width); the gradient is that of the score before the update, of the same shape; the
step counts from 0. Each image is treated alone. Composition is a list, in which the order matters.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..arguments import number, whole
from .spelt import Spelt

Regulariser = Callable[[Tensor, Tensor, int], Tensor]


def decay(rate: float) -> Regulariser:
    """Draws every pixel towards the centre: pixels × (1 − rate).

    Args:
        rate: from 0 to 1.

    Raises:
        ValueError: if it is not.

    Source: Yosinski et al. 2015, "Understanding Neural Networks Through Deep Visualization", arXiv 1506.06579, section
    3, "L2 decay".

    Example:
        >>> decay(0.25)(torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), 0)
        tensor([[[[0.7500, 0.7500]]]])
    """
    number(rate, "rate", most=1)
    return Spelt(lambda pixels, gradient, step: pixels * (1 - rate), "decay", rate)


def blur(sd: float, *, every: int = 1) -> Regulariser:
    """Blurs each channel by a Gaussian, at every so manieth step, from the first on.

    The Gaussian is cut at round(4 sd) pixels; beyond an edge the picture is mirrored, the edge pixel twice.

    Args:
        sd: the Gaussian's standard deviation, pixels, above 0.
        every: 1 for each step.

    Raises:
        ValueError: if a number is out of range.

    Source: Yosinski et al. 2015, section 3, "Gaussian blur".

    Example:
        >>> pixels = torch.tensor([0.0, 0, 1, 0, 0]).expand(1, 1, 5, 5)
        >>> blur(0.5, every=4)(pixels, pixels, 4)[0, 0, 0]
        tensor([2.6387e-04, 1.0645e-01, 7.8657e-01, 1.0645e-01, 2.6387e-04])
    """
    if isinstance(sd, bool) or not isinstance(sd, int | float) or not 0 < sd < math.inf:
        raise ValueError(f"sd is in pixels and above 0, not {sd!r}: without a blur, leave it out")
    every = whole(every, "every", least=1)

    def blurred(pixels: Tensor, gradient: Tensor, step: int) -> Tensor:
        return pixels if step % every else _along(_along(pixels, sd, 2), sd, 3)

    return Spelt(blurred, "blur", sd, every=every)


def small_values(percentile: float) -> Regulariser:
    """Sets those values to the centre whose size |value| is below a percentile of all values of the image.

    Args:
        percentile: from 0, which changes nothing, to 100, which leaves the largest alone.

    Raises:
        ValueError: if it is not.

    Source: the Deep Visualization Toolbox's `optimize_image.py`, `--small-val-percentile`.
    """
    return _clipping("small_values", percentile, lambda pixels, gradient: pixels.abs())


def small_norm(percentile: float) -> Regulariser:
    """Sets those pixels to the centre whose norm over the channels is below a percentile of all pixels'.

    Args:
        percentile: from 0, which changes nothing, to 100, which leaves the largest alone.

    Raises:
        ValueError: if it is not.

    Source: Yosinski et al. 2015, section 3, "Clipping pixels with small norm".

    Example:
        >>> small_norm(50)(torch.tensor([[[[3.0, 1.0]], [[4.0, 1.0]]]]), torch.zeros(1, 2, 1, 2), 0)
        tensor([[[[3., 0.]],
        <BLANKLINE>
                 [[4., 0.]]]])
    """
    return _clipping("small_norm", percentile, lambda pixels, gradient: pixels.square().sum(1, keepdim=True).sqrt())


def small_benefit(percentile: float) -> Regulariser:
    """Sets those pixels to the centre for which that is of least use to the score.

    The use is what the score would gain to first order, −Σ gradient × pixel over the channels; pixels below a
    percentile of it are set, as the toolbox does: those that the score would lose most by.

    Args:
        percentile: from 0, which changes nothing, to 100, which leaves one pixel alone.

    Raises:
        ValueError: if it is not.

    Source: the Deep Visualization Toolbox's `optimize_image.py`, `--px-benefit-percentile`.
    """
    return _clipping("small_benefit", percentile, lambda pixels, gradient: -(gradient * pixels).sum(1, keepdim=True))


def small_contribution(percentile: float) -> Regulariser:
    """Sets those pixels to the centre that make the least difference to the score.

    The difference is |Σ gradient × pixel| over the channels, to first order; below a percentile of it is little.

    Args:
        percentile: from 0, which changes nothing, to 100, which leaves the largest alone.

    Raises:
        ValueError: if it is not.

    Source: Yosinski et al. 2015, section 3, "Clipping pixels with small contribution".
    """
    return _clipping(
        "small_contribution", percentile, lambda pixels, gradient: (gradient * pixels).sum(1, keepdim=True).abs()
    )


def total_variation(weight: float, *, power: float = 2.0) -> Regulariser:
    """Evens out what differs from pixel to pixel: one step down the gradient of weight × total variation.

    The total variation is Σ (down² + right²) ** (power / 2) over all pixels of each channel, down and right being the
    differences to the next pixel. It is a regulariser rather than a part of the objective, because it is a matter of
    the picture, of which the network's layers know nothing, and because so its weight is in units of pixel value, the
    same for every objective and every optimizer.

    Args:
        weight: from 0; 1/16 for power 2 takes the finest checkerboard away in one step, and more than 1/8 would have it
            grow.
        power: from 1, which keeps edges, to 2, which blurs them.

    Raises:
        ValueError: if a number is out of range.

    Source: Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", arXiv 1412.0035,
    equation 3.

    Example:
        >>> total_variation(0.1)(torch.tensor([[[[0.0, 1.0, 0.0]]]]), torch.zeros(1, 1, 1, 3), 0)
        tensor([[[[0.2000, 0.6000, 0.2000]]]])
    """
    number(power, "power", 1, 2)
    number(weight, "weight", most=1 / 8)

    def evened(pixels: Tensor, gradient: Tensor, step: int) -> Tensor:
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            down, right = leaf.diff(dim=2), leaf.diff(dim=3)
            squares = torch.zeros_like(leaf)
            squares[:, :, :-1] += down.square()
            squares[..., :-1] += right.square()
            # Where nothing differs, a power below 2 would have 0 × infinity for a gradient.
            total = (squares + torch.finfo(leaf.dtype).eps ** 2).pow(power / 2).sum()
            (uphill,) = torch.autograd.grad(total, leaf)
        return pixels - weight * uphill

    return Spelt(evened, "total_variation", weight, power=power)


def regularised(regularisers: Sequence[Regulariser], pixels: Tensor, gradient: Tensor, step: int) -> Tensor:
    """The pixels after each regulariser in turn.

    Raises:
        ValueError: if one gives pixels of another shape.
    """
    for regulariser in regularisers:
        found = regulariser(pixels, gradient, step)
        if not isinstance(found, Tensor) or found.shape != pixels.shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"{regulariser!r} must give pixels of shape {tuple(pixels.shape)}, not {got}")
        pixels = found
    return pixels


def _along(pixels: Tensor, sd: float, dim: int) -> Tensor:
    """The pixels blurred along one dimension."""
    size, reach = pixels.shape[dim], int(4 * sd + 0.5)
    offsets = torch.arange(-reach, reach + 1, device=pixels.device, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sd) ** 2)
    # A mirror at both ends shows … 1 0 0 1 2 … n-1 n-1 n-2 …, over and over.
    places = torch.arange(-reach, size + reach, device=pixels.device) % (2 * size)
    mirrored = pixels.index_select(dim, torch.minimum(places, 2 * size - 1 - places))
    return mirrored.unfold(dim, 2 * reach + 1, 1) @ (kernel / kernel.sum()).to(pixels)


def _clipping(name: str, percentile: float, sizes: Callable[[Tensor, Tensor], Tensor]) -> Regulariser:
    """What sets to the centre what is small, by sizes that follow from the pixels and the gradient."""
    number(percentile, "percentile", most=100)

    def clipped(pixels: Tensor, gradient: Tensor, step: int) -> Tensor:
        return _without(pixels, sizes(pixels, gradient), percentile)

    return Spelt(clipped, name, percentile)


def _without(pixels: Tensor, sizes: Tensor, percentile: float) -> Tensor:
    """The pixels with 0 in the place of those whose size is below a percentile of their image's sizes."""
    rows = sizes.flatten(1)
    # Between two ranks, linearly; `torch.quantile` would do it, but takes no more than 16 million numbers.
    rank = percentile / 100 * (rows.shape[1] - 1)
    below = int(rank)
    low = rows.kthvalue(below + 1, 1).values
    high = rows.kthvalue(min(below + 1, rows.shape[1] - 1) + 1, 1).values
    bound = low + (high - low) * (rank - below)
    return pixels.masked_fill(sizes < bound.view(-1, 1, 1, 1), 0)
