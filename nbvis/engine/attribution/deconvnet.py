"""The deconvolutional network."""

from torch import Tensor

from ..network.relu_rules import Rectified
from .method import Found, Method
from .passes import Passes


def deconvnet(passes: Passes) -> Found:
    """The derivative, but a ReLU lets through whatever comes back positive, open or shut.

    Where R⁺ is what comes back to a ReLU's output, R = max(R⁺, 0).
    Source: Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", arXiv 1311.2901,
    section 2.1.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="deconvnet").map.shape
        torch.Size([1, 3, 8, 8])
    """
    back = passes.backward(_rule)
    leaky = "deconvnet knows no slope: a LeakyReLU lets through what comes back positive, as a ReLU does."
    return Found(back.gradient, back.score, (leaky,) if back.ruled["leaky_relu"] else ())


def _rule(gradient: Tensor, rectified: Rectified) -> Tensor:
    return gradient.clamp(min=0)


METHOD = Method(
    deconvnet,
    "Deconvnet",
    "The derivative, but a ReLU lets through whatever comes back positive, open or shut.",
    by_size=True,
)
