"""Attributions that are gradients: plain, with a ReLU rule, along a line, or averaged over noise."""

import numpy as np
import torch
from torch import Tensor

from ..arguments import whole
from ..network.relu_rules import Gate
from .passes import Question


def gradient(question: Question) -> Tensor:
    """The derivative of the score. Source: Simonyan, Vedaldi and Zisserman 2013, arXiv 1312.6034."""
    return question.backward()[1]


def input_x_gradient(question: Question) -> Tensor:
    """The values times their derivative. Source: Shrikumar et al. 2016, arXiv 1605.01713."""
    values, found = question.backward()
    return values * found


def guided_backprop(question: Question) -> Tensor:
    """The derivative, but a ReLU lets through what is positive both forward and backward.

    Source: Springenberg et al. 2014, "Striving for simplicity", arXiv 1412.6806.
    """
    return question.backward(_guided)[1]


def deconvnet(question: Question) -> Tensor:
    """The derivative, but a ReLU lets through whatever comes back positive, open or shut.

    Source: Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", arXiv 1311.2901.
    """
    return question.backward(_deconvnet)[1]


def integrated_gradients(
    question: Question, *, steps: int = 50, baseline: float | Tensor = 0.0, chunk: int | None = None
) -> Tensor:
    """The difference from a baseline times the mean gradient on the straight line from there.

    The mean is a Gauss-Legendre sum of `steps` points. The map adds up to score(image) - score(baseline), as far as
    the points suffice. Source: Sundararajan, Taly and Yan 2017, arXiv 1703.01365, equation 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(whole(steps, "steps", 1))
    places = torch.as_tensor((1 + nodes) / 2).to(question.images)
    start_image = baseline_like(question.images, baseline)
    start, end = question.values(start_image), question.values(question.images)

    def point(rows: Tensor, samples: Tensor) -> Tensor:
        along = places[samples].view(-1, *[1] * (end.dim() - 1))
        return start[rows] + along * (end - start)[rows]

    question.score = question.scores(question.images)
    result = question.mean_gradient(point, (weights / 2).tolist(), chunk, inside=True) * (end - start)
    _check_sum(question, result, question.score - question.scores(start_image))
    return result


def smoothgrad(
    question: Question, *, samples: int = 50, noise: float = 0.15, chunk: int | None = None, seed: int = 0
) -> Tensor:
    """The mean gradient over images with Gaussian noise of standard deviation `noise`, the same for every image.

    Source: Smilkov et al. 2017, "SmoothGrad", arXiv 1706.03825.
    """
    samples = whole(samples, "samples", 1)
    if not noise >= 0:
        raise ValueError(f"noise is a standard deviation from 0 up, in the images' unit, not {noise!r}")
    shape = question.images.shape[1:]

    def noisy(rows: Tensor, numbers: Tensor) -> Tensor:
        grains = {number: _grain(shape, seed, number).to(question.images) for number in set(numbers.tolist())}
        return question.images[rows] + noise * torch.stack([grains[number] for number in numbers.tolist()])

    question.score = question.scores(question.images)
    return question.mean_gradient(noisy, [1 / samples] * samples, chunk, inside=False)


def baseline_like(images: Tensor, baseline: float | Tensor) -> Tensor:
    """A baseline given as a number or a tensor, as a batch like the images.

    Raises:
        ValueError: if it does not fit the images.
    """
    given = torch.as_tensor(baseline).detach().to(images)
    try:
        return given.expand_as(images).clone()
    except RuntimeError:
        raise ValueError(
            f"the baseline is a number or a tensor that fits {tuple(images.shape)}, not one of {tuple(given.shape)}"
        ) from None


def _guided(gradient: Tensor, gate: Gate) -> Tensor:
    return gate.plain(gradient).clamp_(min=0)  # what it gives is new, so there is no need of another


def _deconvnet(gradient: Tensor, gate: Gate) -> Tensor:
    return gradient.clamp(min=0)


def _grain(shape: torch.Size, seed: int, number: int) -> Tensor:
    """The noise of one sample, whatever the batch and the chunks around it."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return torch.randn(shape, generator=generator)


def _check_sum(question: Question, found: Tensor, difference: Tensor) -> None:
    total = found.flatten(1).sum(1)
    gap = (total - difference).abs() / difference.abs().clamp(min=1e-6)
    row = int(gap.nan_to_num(0).argmax())
    if gap[row] > 0.05:
        question.notes.append(
            f"The map adds up to {total[row].item():.4g}, and should to {difference[row].item():.4g}, the score's "
            "difference from the baseline: more steps bring it closer."
        )
