"""Attributions that live on a layer's grid: class activation maps."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import near
from ..network.layers import OUTPUT, LayerError, explained, layers
from ..network.network import Network, named
from ..network.random_state import unchanged_chance
from ..tracing.axes import Axes
from ..tracing.receptive_field import flat
from ..tracing.trace import Trace
from .gradients import guided_backprop
from .passes import Question


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
    """The name of the last layer with rows and columns that the output depends on, where a CAM is usually taken.

    Where a token stands for the whole picture, the others of the last layers no longer count; those are passed over.

    Raises:
        ValueError: if no layer has any.
    """
    found: dict[str, Axes] = {}
    twin, trace = network.twin(), Trace()

    def hook(name: str) -> Callable[..., None]:
        def note(part: nn.Module, args: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor) and has_space(axes := trace.axes(output, args)):
                found.pop(name, None)
                found[name] = axes

        return note

    for name, part in named(twin).items():
        if name != OUTPUT:
            part.register_forward_hook(hook(name))
    with torch.no_grad(), unchanged_chance():
        entered = explained(network, images, lambda: network.enter(images[:1]))
        with trace.from_input(entered, twin):
            explained(network, images, lambda: twin(entered))
    if not found:
        raise LayerError("no layer of this network has rows and columns, so there is no class activation map")
    names = list(found)
    return _last_that_counts(network, images, found) if found[names[-1]].besides else names[-1]


def _last_that_counts(network: Network, images: Tensor, axes: dict[str, Axes]) -> str:
    """The name of the last of these layers on whose grid the output depends."""
    twin = network.twin()
    outputs: dict[str, Tensor] = {}
    for name, part in named(twin).items():
        if name in axes:
            part.register_forward_hook(lambda part, args, output, name=name: outputs.update({name: output}))
    with torch.inference_mode(False), torch.enable_grad(), unchanged_chance():
        entered = network.enter(images[:1].detach().requires_grad_())
        scores = [t.sum() for t in flat([twin(entered)]) if isinstance(t, Tensor) and t.requires_grad]
        places = [name for name in axes if outputs[name].requires_grad]
        found = torch.autograd.grad(scores, [outputs[name] for name in places], allow_unused=True) if scores else ()
    for name, gradient in [*zip(places, found, strict=False)][::-1]:
        if gradient is not None and axes[name].planes(gradient).any():
            return name
    return list(axes)[-1]


def _cam(question: Question) -> Tensor:
    values, found = question.backward()
    axes = question.axes
    assert axes is not None
    if not has_space(axes):
        with_space = [layer.name for layer in layers(question.network, question.images) if has_space(layer.axes)]
        raise LayerError(
            f"layer {question.layer!r} has shape {tuple(values.shape)}, without rows and columns to map"
            + near("", with_space[::-1])
        )
    if axes.besides:
        question.notes.append(
            f"{question.layer!r} keeps {axes.grid[0]} × {axes.grid[1]} tokens as rows and columns, and "  # type: ignore[index]
            f"{axes.besides} besides them, such as a class token, which the map leaves out."
        )
    values, found = axes.planes(values), axes.planes(found)
    cam = (values * found.mean((2, 3), keepdim=True)).sum(1, keepdim=True)
    negative = [row for row, plane in enumerate(cam) if plane.max() <= 0 and plane.min() < 0]
    if negative:
        question.notes.append(
            f"The class activation map of image {', '.join(map(str, negative))} is negative everywhere: "
            f"{question.layer!r} only speaks against the target, and the published, rectified map would be blank."
        )
    return cam


def has_space(axes: Axes) -> bool:
    """Whether an activation with these axes has a grid of more than one position."""
    return axes.grid is not None and max(axes.grid) > 1


def _enlarged(cam: Tensor, images: Tensor) -> Tensor:
    return F.interpolate(cam, size=images.shape[2:], mode="bilinear", align_corners=False)
