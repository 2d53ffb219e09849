"""Masks of the picture: which parts of it an objective may change."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def product(mask: Tensor, other: Tensor) -> Tensor:
    """What both masks let through."""
    if mask.shape != other.shape:
        raise ValueError(f"one mask has {tuple(mask.shape)} pixels, the other {tuple(other.shape)}")
    return mask * other.to(mask)


def checked_mask(mask: Any) -> Tensor:
    """A copy of the mask as floating-point numbers.

    Raises:
        TypeError: if it is no tensor, nor what can become one.
        ValueError: if it is not two-dimensional, leaves [0, 1], holds NaN, or is 0 everywhere.
    """
    try:
        mask = torch.as_tensor(mask).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"a mask is a tensor (height, width), not {type(mask).__name__}") from None
    if mask.dim() != 2 or not mask.numel():
        raise ValueError(f"a mask is (height, width), not {tuple(mask.shape)}")
    mask = mask if mask.is_floating_point() else mask.float()
    if not torch.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        raise ValueError(f"a mask lies in [0, 1]; this one goes from {mask.min():.4g} to {mask.max():.4g}")
    if not mask.any():
        raise ValueError("this mask is 0 everywhere, so nothing of the picture could change")
    return mask.clone()


def resized(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Masks (batch, 1, height, width) at another size, (height, width)."""
    if tuple(mask.shape[2:]) == tuple(size):
        return mask
    return F.interpolate(mask, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)


def framed(images: Tensor, start: Tensor | None, movable: Tensor | None) -> Tensor:
    """The images where they may change, the start where they may not; without masks they may everywhere."""
    return images if movable is None or start is None else torch.where(movable, images, start)
