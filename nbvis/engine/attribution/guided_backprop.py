"""Guided backpropagation."""

from torch import Tensor

from ..network.relu_rules import Rectified
from .method import Found, Method
from .passes import Passes


def guided_backprop(passes: Passes) -> Found:
    """The derivative, but a ReLU lets through what is positive both forward and backward.

    Where f is a ReLU's input, and R⁺ what comes back to its output, R = 1[f > 0] · max(R⁺, 0).
    Source: Springenberg et al. 2014, "Striving for simplicity", arXiv 1412.6806, section 3.4.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="guided_backprop").map.shape
        torch.Size([1, 3, 8, 8])
    """
    back = passes.backward(_rule)
    return Found(back.gradient, back.score)


def _rule(gradient: Tensor, rectified: Rectified) -> Tensor:
    return rectified.plain(gradient).clamp_(min=0)  # what it gives is new, so there is no need of another


METHOD = Method(
    guided_backprop,
    "Guided backprop",
    "The derivative, but a ReLU lets through what is positive both forward and backward.",
    by_size=True,
)
