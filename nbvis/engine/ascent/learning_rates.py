"""Learning rates that follow the gradient: how far a step goes, by what it is expected to gain.

A learning rate is a function (score (batch,), gradient (batch, …)) → one number for each image, (batch,). The gradient
is that of the score at what is optimised.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .spelt import Spelt

LearningRate = Callable[[Tensor, Tensor], Tensor]


def progress(desired: float, *, most: float) -> LearningRate:
    """The learning rate by which the score would grow by the same amount at each step, were it linear.

    It is desired / |gradient|², and at most `most`.

    Args:
        desired: what the score is to gain with each step, above 0.
        most: the largest learning rate, above 0.

    Raises:
        ValueError: if one of them is not above 0.

    Source: the Deep Visualization Toolbox's `optimize_image.py`, policy "progress".

    Example:
        >>> progress(2, most=100)(torch.zeros(2), torch.tensor([[4.0], [0.1]]))
        tensor([  0.1250, 100.0000])
    """
    _check(desired=desired, most=most)

    def rate(score: Tensor, gradient: Tensor) -> Tensor:
        return _rate(torch.full_like(score, desired), gradient, most)

    return Spelt(rate, "progress", desired, most=most)


def progress01(early: float, late: float, *, most: float) -> LearningRate:
    """As `progress`, for a score that ends at 1, such as a probability: it slows down before.

    What the score is to gain with each step is the smaller of `early` and late × (1 − score).

    Args:
        early: what the score is to gain with each step far from 1, above 0.
        late: which share of what is left to 1 it is to gain near 1, above 0.
        most: the largest learning rate, above 0.

    Raises:
        ValueError: if one of them is not above 0.

    Source: the Deep Visualization Toolbox's `optimize_image.py`, policy "progress01".

    Example:
        >>> progress01(0.1, 0.5, most=100)(torch.tensor([0.2, 0.9]), torch.ones(2, 1))
        tensor([0.1000, 0.0500])
    """
    _check(early=early, late=late, most=most)

    def rate(score: Tensor, gradient: Tensor) -> Tensor:
        return _rate((late * (1 - score)).clamp(max=early), gradient, most)

    return Spelt(rate, "progress01", early, late, most=most)


def _rate(desired: Tensor, gradient: Tensor, most: float) -> Tensor:
    squares = gradient.flatten(1).square().sum(1)
    return (desired / squares.clamp(min=torch.finfo(squares.dtype).tiny)).clamp(max=most)


def _check(**numbers: float) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ValueError(f"{name} is a number above 0, not {value!r}")
