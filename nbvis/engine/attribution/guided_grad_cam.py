"""Guided Grad-CAM."""

from .grad_cam import grad_cam
from .guided_backprop import guided_backprop
from .method import Found, Method, Place
from .passes import Passes


def guided_grad_cam(passes: Passes) -> Found:
    """Guided backpropagation times the positive part of Grad-CAM.

    G · max(L, 0), with G the map of `guided_backprop` and L that of `grad_cam`, enlarged to the image.
    Source: Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391, section 3.2.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="guided_grad_cam", layer="0").map.shape
        torch.Size([1, 3, 8, 8])
    """
    cam, guided = grad_cam(passes, relu=True), guided_backprop(passes.at(None))
    return Found(guided.map * cam.map, cam.score, [*cam.notes, *guided.notes])


METHOD = Method(
    guided_grad_cam,
    "Guided Grad-CAM",
    "Guided backpropagation times the positive part of Grad-CAM.",
    place=Place.GRID,
    by_size=True,
)
