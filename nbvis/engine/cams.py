"""Attributions that live on a layer's grid: class activation maps."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .capture import OUTPUT, LayerError, explained, layers
from .chance import unchanged_chance
from .gradients import guided_backprop
from .network import Network, named, near
from .question import Question


def grad_cam(question: Question, *, relu: bool = False) -> Tensor:
    """The sum of a layer's channels, each times the mean of the score's gradient in it, enlarged to the image.

    It is signed; `relu=True` keeps only the positive part, as published. Source: Selvaraju et al. 2017, "Grad-CAM",
    arXiv 1610.02391.
    """
    cam = _cam(question)
    return _enlarged(cam.relu() if relu else cam, question.images)


def guided_grad_cam(question: Question) -> Tensor:
    """Guided backpropagation times the positive part of Grad-CAM. Source: as for `grad_cam`."""
    cam = _enlarged(_cam(question).relu(), question.images)
    score, question.layer = question.score, None
    found = guided_backprop(question) * cam
    question.score = score
    return found


def last_with_space(network: Network, images: Tensor) -> str:
    """The name of the last layer with rows and columns, where a CAM is usually taken.

    Raises:
        ValueError: if no layer has any.
    """
    names: list[str] = []
    twin = network.twin()
    for name, part in named(twin).items():
        if name != OUTPUT:
            part.register_forward_hook(
                lambda part, args, output, name=name: (
                    names.append(name) if isinstance(output, Tensor) and has_space(output.shape) else None
                )
            )
    with torch.no_grad(), unchanged_chance():
        explained(network, images, lambda: twin(network.enter(images[:1])))
    if not names:
        raise LayerError("no layer of this network has rows and columns, so there is no class activation map")
    return names[-1]


def _cam(question: Question) -> Tensor:
    values, found = question.backward()
    if not has_space(values.shape):
        with_space = [layer.name for layer in layers(question.network, question.images) if has_space(layer.shape)]
        raise LayerError(
            f"layer {question.layer!r} has shape {tuple(values.shape)}, without rows and columns to map"
            + near("", with_space[::-1])
        )
    cam = (values * found.mean((2, 3), keepdim=True)).sum(1, keepdim=True)
    negative = [row for row, plane in enumerate(cam) if plane.max() <= 0 and plane.min() < 0]
    if negative:
        question.notes.append(
            f"The class activation map of image {', '.join(map(str, negative))} is negative everywhere: "
            f"{question.layer!r} only speaks against the target, and the published, rectified map would be blank."
        )
    return cam


def has_space(shape: tuple[int, ...] | torch.Size) -> bool:
    """Whether an activation of this shape has more than one position."""
    return len(shape) == 4 and shape[2] * shape[3] > 1


def _enlarged(cam: Tensor, images: Tensor) -> Tensor:
    return F.interpolate(cam, size=images.shape[2:], mode="bilinear", align_corners=False)
