"""Objectives that compare with other pictures: caricature, and a dream guided by a second picture."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import number
from ..network.images import Images
from ..network.layout import planes
from .objective import Activations, Objective, Term
from .objective_source import Names
from .reference import Reference

_MOST = 2**24
"""Inner products that are held at once in the search for the best match."""


def caricature(layer: str, images: Images, power: float = 1.0) -> Objective:
    """How strongly a layer says of an image what it says of another: that picture, exaggerated.

    ⟨x, y⟩ · max(0.1, cos)^power, where x is the layer's whole activation for the image, y that for the other picture
    and cos = ⟨x, y⟩ / (‖x‖ ‖y‖). In each step the picture is seen through the same random transforms as the image, and
    no gradient goes through it. It takes the image's size, stretched if its shape is another, which a note says.

    Args:
        layer: the layer's name.
        images: the pictures, one for all images or one for each, whatever `as_images` takes, in [0, 1].
        power: how much the direction counts beside the size; 0 for the inner product alone.

    Raises:
        TypeError, ValueError: if the pictures or the power cannot be that.

    Source: caricatures of Olah, Satyanarayan et al. 2018, "The Building Blocks of Interpretability", whose library
    divides by ‖y‖ alone.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> photo = torch.rand(1, 3, 32, 32)
        >>> last(ascend(net, caricature("1", photo), Pixels(photo), steps=2)).image.shape
        torch.Size([1, 3, 32, 32])
    """
    number(power, "power")

    def score(acts: Activations, other: Activations) -> Tensor:
        x, y = acts[layer].flatten(1), other[layer].detach().flatten(1)
        return (x * y).sum(1) * F.cosine_similarity(x, y).clamp(min=0.1) ** power

    given = "" if power == 1 else f", {power!r}"
    return _compared(score, layer, "caricature", Reference.of(images, viewed=True), given)


def guide(layer: str, images: Images) -> Objective:
    """How well what a layer finds at each position is found anywhere in another picture: that picture's features.

    For each position the largest inner product of its activation, a number for each channel, with that at any position
    of the other picture; and of these the mean. Its gradient at a position is the best match. The picture is seen as it
    is, at its own size, which may be any.

    Args:
        layer: the layer's name.
        images: the pictures, one for all images or one for each, whatever `as_images` takes, in [0, 1].

    Raises:
        TypeError, ValueError: if they cannot be pictures.

    Source: Mordvintsev, Olah and Tyka 2015, the notebook of "Inceptionism", section "Controlling dreams".

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> run = dream(net, guide("1", torch.rand(1, 3, 20, 30)), torch.rand(1, 3, 40, 60), octaves=2, steps=1)
        >>> last(run).image.shape
        torch.Size([1, 3, 40, 60])
    """

    def score(acts: Activations, other: Activations) -> Tensor:
        x, y = _vectors(acts, layer), _vectors(other, layer).detach()
        scores = [_guided(each, y[i if len(y) > 1 else 0]) for i, each in enumerate(x)]
        return torch.stack(scores)

    return _compared(score, layer, "guide", Reference.of(images, viewed=False), "")


def _compared(score: Any, layer: str, name: str, reference: Reference, given: str) -> Objective:
    def text(names: Names) -> str:
        return f"{name}({layer!r}, {names.tensor('reference', reference.images)}{given})"

    return Objective((Term(score, (layer,), text, references=(reference,)),))


def _vectors(acts: Activations, layer: str) -> Tensor:
    """At each position what the channels say, (batch, positions, channels)."""
    activation = planes(acts, layer)
    return activation.flatten(2).mT if activation.dim() > 2 else activation[:, None]


def _guided(x: Tensor, y: Tensor) -> Tensor:
    """The mean over the rows of x of the largest inner product with a row of y, (positions, channels) both."""
    with torch.no_grad():
        parts = x.split(max(1, _MOST // len(y)))
        best = torch.cat([(part @ y.mT).argmax(1) for part in parts])
    return (x * y[best]).sum(1).mean()
