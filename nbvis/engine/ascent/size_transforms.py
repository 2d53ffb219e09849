"""Transforms that change the size of the pictures; the network has to take what they leave (see `transforms`)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import whole
from .spelt import Spelt
from .transforms import Transform


def pad(pixels: int, value: float | None = None) -> Transform:
    """Adds pixels on each side of the images.

    Args:
        pixels: how many on each side; 0 is the identity.
        value: of the new pixels; None reflects the image, the pixel at the edge once.

    Raises:
        ValueError: if `pixels` is no whole number from 0 up.

    Example:
        >>> pad(2)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 12, 12])
    """
    whole(pixels, "pad's pixels")

    def wider(images: Tensor, generator: torch.Generator) -> Tensor:
        if value is not None:
            return F.pad(images, (pixels, pixels, pixels, pixels), value=value)
        for dim in (2, 3):
            size = images.shape[dim]
            places = torch.arange(-pixels, size + pixels, device=images.device) % max(1, 2 * size - 2)
            images = images.index_select(dim, torch.minimum(places, 2 * size - 2 - places))
        return images

    return Spelt(wider, "pad", pixels, **{} if value is None else {"value": value})


def crop(pixels: int) -> Transform:
    """Takes pixels off each side of the images: after `pad`, what it had added.

    Args:
        pixels: how many from each side; 0 is the identity.

    Raises:
        ValueError: if `pixels` is no whole number from 0 up; in a run, if nothing would be left of the images.

    Example:
        >>> crop(2)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 4, 4])
    """
    whole(pixels, "crop's pixels")

    def inner(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        if min(height, width) <= 2 * pixels:
            raise ValueError(f"crop({pixels}) leaves nothing of {height} × {width} pixels")
        return images[:, :, pixels : height - pixels, pixels : width - pixels]

    return Spelt(inner, "crop", pixels)


def random_crop(height: int, width: int) -> Transform:
    """Cuts a window out of each image at a random place, all places alike.

    Args:
        height: of the window, pixels; an image that is less high is taken whole.
        width: of the window, pixels; likewise.

    Raises:
        ValueError: if one is no whole number from 1 up.

    Example:
        >>> random_crop(6, 5)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 6, 5])
    """
    whole(height, "the height of a crop", least=1)
    whole(width, "the width of a crop", least=1)

    def cut(images: Tensor, generator: torch.Generator) -> Tensor:
        size = min(height, images.shape[2]), min(width, images.shape[3])
        rows, columns = (
            torch.randint(all_of_it - part + 1, (len(images),), generator=generator).tolist()
            for all_of_it, part in zip(images.shape[2:], size, strict=True)
        )
        places = enumerate(zip(rows, columns, strict=True))
        return torch.stack([images[i, :, r : r + size[0], c : c + size[1]] for i, (r, c) in places])

    return Spelt(cut, "random_crop", height, width)


def resize(least: float, most: float) -> Transform:
    """Makes the images larger or smaller by a random factor, both sides alike, and all images of a batch alike.

    Unlike `zoom`, the network sees the whole of them, in fewer or more pixels.

    Args:
        least: the smallest factor; drawn as often 1.1 as 1 / 1.1.
        most: the largest factor. `resize(1, 1)` is the identity.

    Raises:
        ValueError: if the factors are not positive or out of order.

    Example:
        >>> resize(0.5, 0.5)(torch.rand(1, 3, 8, 12), torch.Generator()).shape
        torch.Size([1, 3, 4, 6])
    """
    if not 0 < least <= most < math.inf:
        raise ValueError(f"resize takes 0 < least <= most, not {least} and {most}")

    def resized(images: Tensor, generator: torch.Generator) -> Tensor:
        factor = least * (most / least) ** torch.rand((), generator=generator, dtype=torch.float64).item()
        size = [max(1, round(factor * side)) for side in images.shape[2:]]
        if size == list(images.shape[2:]):
            return images
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=factor < 1)

    return Spelt(resized, "resize", least, most)
