"""Grad-CAM: class activation maps of any network."""

import torch.nn.functional as F
from torch import Tensor

from ..arguments import near
from ..network.layer_names import LayerError
from ..network.layers import layers
from .grid import has_space
from .method import Found, Method, Place
from .passes import Passes


def grad_cam(passes: Passes, *, relu: bool = False) -> Found:
    """The sum of a layer's channels, each times the mean of the score's gradient in it, enlarged to the image.

    Σ_c A_c · mean over rows and columns of ∂S / ∂A_c, with A_c the layer's channel c. It is signed.
    Source: Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391, equations 1 and 2.

    Args:
        passes: the network, the images and the target, at the layer.
        relu: whether to keep only the positive part, as published.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="grad_cam", layer="0").map.shape
        torch.Size([1, 1, 8, 8])
    """
    layer, back = passes.layer, passes.backward()
    axes, notes = back.axes, []
    assert axes is not None
    if not has_space(axes):
        mapped = [each.name for each in layers(passes.network, passes.images) if has_space(each.axes)]
        raise LayerError(
            f"layer {layer!r} has shape {tuple(back.values.shape)}, without rows and columns to map"
            + near("", mapped[::-1])
        )
    if axes.besides and axes.grid:
        notes.append(
            f"{layer!r} keeps {axes.grid[0]} × {axes.grid[1]} tokens as rows and columns, and {axes.besides} besides "
            "them, such as a class token, which the map leaves out."
        )
    values, gradient = axes.planes(back.values), axes.planes(back.gradient)
    cam = (values * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True)
    negative = [row for row, plane in enumerate(cam) if plane.max() <= 0 and plane.min() < 0]
    if negative:
        notes.append(
            f"The class activation map of image {', '.join(map(str, negative))} is negative everywhere: {layer!r} only "
            "speaks against the target, and the published, rectified map would be blank."
        )
    return Found(_enlarged(cam.relu() if relu else cam, passes.images), back.score, notes)


def _enlarged(cam: Tensor, images: Tensor) -> Tensor:
    return F.interpolate(cam, size=images.shape[2:], mode="bilinear", align_corners=False)


METHOD = Method(
    grad_cam,
    "Grad-CAM",
    "The sum of a layer's channels, each times the mean of the score's gradient in it, enlarged to the image.",
    place=Place.GRID,
)
