"""The gradient."""

from .method import Found, Method
from .passes import Passes


def gradient(passes: Passes) -> Found:
    """The derivative of the score with respect to each value: ∂S(x) / ∂x.

    Source: Simonyan, Vedaldi and Zisserman 2013, "Deep inside convolutional networks", arXiv 1312.6034, section 3.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2).map.shape
        torch.Size([1, 3, 8, 8])
    """
    back = passes.backward()
    return Found(back.gradient, back.score)


METHOD = Method(gradient, "Gradient", "The derivative of the score.", by_size=True)
