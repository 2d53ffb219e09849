"""Objectives on whole activations: a direction among a layer's channels, and an activation to be matched."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.layout import axes_of, planes
from .objective import Activations, Objective, Term
from .objective_source import Names


def direction(layer: str, vector: Tensor | np.ndarray | Sequence[float]) -> Objective:
    """How far a layer's activation points in a direction among its channels.

    At each position the inner product of the activation, a number for each channel, with the vector as it is; and of
    these the mean. `channel(layer, k)` is the direction of that channel, whose vector is 1 at k and 0 elsewhere.

    Args:
        layer: the layer's name.
        vector: a number for each channel, (channels,); its length scales the score.

    Raises:
        TypeError: if it cannot be a vector of numbers.
        ValueError: if it is not of one dimension, or is 0 everywhere, NaN or infinite; where it is used, if it is not
            as long as the layer has channels.

    Source: Olah et al. 2018, "The Building Blocks of Interpretability"; the direction of its library.

    Example:
        >>> direction("conv", [0.0, 2.0]).score({"conv": torch.tensor([[[[5.0]], [[3.0]]]])})
        tensor([6.])
    """
    vector = _vector(vector)

    def score(acts: Activations) -> Tensor:
        activation = planes(acts, layer)
        count = activation.shape[1] if activation.dim() > 1 else 0
        if count != len(vector):
            raise ValueError(
                f"a vector of {len(vector)} numbers does not fit layer {layer!r}, which has {count} channels: "
                f"give {count} numbers"
            )
        products = torch.einsum("bc...,c->b...", activation, vector.to(activation))
        return products if products.dim() == 1 else products.flatten(1).mean(1)

    return Objective((Term(score, (layer,), lambda names: f"direction({layer!r}, {names.tensor('vector', vector)})"),))


def match(layer: str, activation: Tensor) -> Objective:
    """How near a layer's activation is to a given one: minus the mean of the squared differences, 0 where it is met.

    With it a picture is reconstructed from what a layer says of it. What is shown to the network at random places does
    not answer as the whole picture does, so that `transforms=()` and `jitter=0` belong to it; `caricature` compares
    with a picture that is changed alike. An activation (batch, channels, rows, columns) of another grid than the
    layer's, as in the smaller octaves of a dream, is resized to it, and a note says so.

    Args:
        layer: the layer's name.
        activation: as `activations(network, images, [layer])[layer]` gives it; one for all images, or one for each.

    Raises:
        TypeError: if it is no tensor of floating-point numbers.
        ValueError: if it holds NaN or infinite values; where it is used, if it does not fit the layer.

    Source: Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", equation 2,
    without the division by the norm of the activation.

    Example:
        >>> match("conv", torch.ones(1, 2)).score({"conv": torch.tensor([[1.0, 3.0]])})
        tensor([-2.])
    """
    if not isinstance(activation, Tensor) or not activation.is_floating_point():
        got = activation.dtype if isinstance(activation, Tensor) else type(activation).__name__
        raise TypeError(f"the activation to match is a floating-point tensor, not {got}")
    if activation.dim() < 2 or not activation.numel() or not torch.isfinite(activation).all():
        shape = tuple(activation.shape)
        raise ValueError(f"the activation to match is (batch, …) and finite; this one is {shape}, or holds NaN or inf")
    activation = activation.detach().clone()

    def score(acts: Activations) -> Tensor:
        found = acts[layer]
        if len(activation) not in (1, len(found)):
            few, many = len(activation), len(found)
            raise ValueError(f"{few} activations to match for {many} images: give one, or one for each image")
        target = activation.to(found)
        if target.shape[1:] != found.shape[1:]:
            target = _resized(target, acts, layer)
        return -(found - target).square().flatten(1).mean(1)

    def remark(acts: Activations) -> str:
        now, given = tuple(acts[layer].shape[1:]), tuple(activation.shape[1:])
        return "" if now == given else f"The activation to match is {given}, and is resized to layer {layer!r}: {now}."

    def text(names: Names) -> str:
        return f"match({layer!r}, {names.tensor('reference', activation)})"

    return Objective((Term(score, (layer,), text, whole=len(activation) > 1, remarks=(remark,)),))


def _vector(vector: Any) -> Tensor:
    try:
        vector = torch.as_tensor(vector).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"a direction is a vector of numbers, not {type(vector).__name__}") from None
    if vector.dim() != 1 or not len(vector):
        raise ValueError(f"a direction is a vector (channels,), not of shape {tuple(vector.shape)}")
    vector = vector if vector.is_floating_point() else vector.float()
    if not torch.isfinite(vector).all() or not vector.any():
        raise ValueError(
            f"a direction is finite and not 0 everywhere, not from {vector.min():.4g} to {vector.max():.4g}"
        )
    return vector.clone()


def _resized(target: Tensor, acts: Activations, layer: str) -> Tensor:
    """The activation to match on the layer's grid, if there is one in the usual order."""
    found = acts[layer]
    axes = axes_of(acts).get(layer)
    usual = axes is None or planes(acts, layer).shape == found.shape
    if not (usual and found.dim() == target.dim() == 4 and found.shape[1] == target.shape[1]):
        raise ValueError(
            f"the activation to match is {tuple(target.shape)}, and layer {layer!r} answers {tuple(found.shape)}: "
            "give what it answers to pictures of the images' size"
        )
    return F.interpolate(target, found.shape[2:], mode="bilinear", align_corners=False, antialias=True)
