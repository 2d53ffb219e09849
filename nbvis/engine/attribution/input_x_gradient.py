"""The input times the gradient."""

from .method import Found, Method
from .passes import Passes


def input_x_gradient(passes: Passes) -> Found:
    """Each value times the derivative of the score with respect to it: x · ∂S(x) / ∂x.

    Source: Shrikumar et al. 2016, "Not just a black box", arXiv 1605.01713, section 2.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="input_x_gradient").map.shape
        torch.Size([1, 3, 8, 8])
    """
    back = passes.backward()
    return Found(back.values * back.gradient, back.score)


METHOD = Method(input_x_gradient, "Input × gradient", "The values times their derivative.")
