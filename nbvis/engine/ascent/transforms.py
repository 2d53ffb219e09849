"""Random transforms between the image and the network, so that what is found does not hang on single pixels.

A transform is a function (images, generator) → images: a batch in, a batch of the same shape out, every draw taken from
the generator, one for each image. Composition is a list.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Transform = Callable[[Tensor, torch.Generator], Tensor]


def jitter(pixels: int) -> Transform:
    """Shifts each image by a whole number of pixels in each direction; what leaves is replaced by reflection.

    Args:
        pixels: the largest shift; 0 is the identity.

    Example:
        >>> jitter(2)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 8, 8])
    """

    def shift(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        most = min(pixels, height - 1, width - 1)
        if most <= 0:
            return images
        padded = F.pad(images, (most, most, most, most), mode="reflect")
        places = torch.randint(0, 2 * most + 1, (len(images), 2), generator=generator).tolist()
        return torch.stack([padded[i, :, r : r + height, c : c + width] for i, (r, c) in enumerate(places)])

    return shift


def affine(*, shift: float = 0, zoom: tuple[float, float] = (1, 1), degrees: float = 0) -> Transform:
    """Shows each image from a random place, distance and angle, by one sampling; edges are reflected.

    Args:
        shift: the largest distance of the view's centre from the image's, rows and columns each, pixels.
        zoom: the smallest and the largest enlargement, both sides alike; drawn as often 1.1 as 1 / 1.1.
        degrees: the largest angle either way. `affine()` is the identity.

    Raises:
        ValueError: if the factors of `zoom` are not positive or out of order.

    Example:
        >>> affine(shift=2, zoom=(0.9, 1.1), degrees=5)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 8, 8])
    """
    least, most = zoom
    if not 0 < least <= most:
        raise ValueError(f"zoom takes 0 < least <= most, not {least} and {most}")

    def warp(images: Tensor, generator: torch.Generator) -> Tensor:
        down, right, nearer, turn = torch.rand(4, len(images), generator=generator, dtype=torch.float64)
        shifts = torch.stack([down, right], 1).mul(2).sub(1).mul(shift)
        factors = least * (most / least) ** nearer
        return warped(images, factors.tolist(), ((2 * turn - 1) * degrees).tolist(), shifts.tolist())

    return warp


def zoom(least: float, most: float) -> Transform:
    """Enlarges each image about its centre by a random factor, both sides alike; as `affine(zoom=(least, most))`."""
    return affine(zoom=(least, most))


def rotate(degrees: float) -> Transform:
    """Turns each image about its centre by a random angle either way; as `affine(degrees=degrees)`."""
    return affine(degrees=degrees)


def apply(transforms: Sequence[Transform], images: Tensor, generator: torch.Generator) -> Tensor:
    """The images after each transform in turn."""
    for transform in transforms:
        images = transform(images, generator)
    return images


STANDARD: tuple[Transform, ...] = (affine(shift=48, zoom=(0.8, 1.25), degrees=15),)
"""The transforms that `ascend` uses by default: with them, what one network sees in a picture others see too."""


def warped(
    images: Tensor, zooms: Sequence[float], degrees: Sequence[float], shifts: Sequence[Sequence[float]] | None = None
) -> Tensor:
    """Each image enlarged and turned about a point (rows, columns) off its centre, by one bilinear sampling."""
    shifts = [(0.0, 0.0)] * len(images) if shifts is None else shifts
    if all(z == 1 for z in zooms) and not any(degrees) and not any(d or r for d, r in shifts):
        return images
    height, width = images.shape[2:]
    rows = []
    for z, d, (down, right) in zip(zooms, degrees, shifts, strict=True):
        cos, sin = math.cos(math.radians(d)) / z, math.sin(math.radians(d)) / z
        # affine_grid measures both axes from -1 to 1, so the aspect ratio has to go in and out again.
        rows.append([[cos, -sin * height / width, 2 * right / width], [sin * width / height, cos, 2 * down / height]])
    grid = F.affine_grid(images.new_tensor(rows), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
