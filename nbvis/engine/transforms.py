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


def zoom(least: float, most: float) -> Transform:
    """Enlarges each image about its centre by a random factor, both sides alike; edges are reflected.

    Args:
        least: the smallest factor; below 1 shrinks.
        most: the largest; `zoom(1, 1)` is the identity.

    Raises:
        ValueError: if the factors are not positive or out of order.
    """
    if not 0 < least <= most:
        raise ValueError(f"zoom takes 0 < least <= most, not {least} and {most}")

    def scale(images: Tensor, generator: torch.Generator) -> Tensor:
        draws = torch.rand(len(images), generator=generator, dtype=torch.float64)
        return warped(images, (least + (most - least) * draws).tolist(), [0.0] * len(images))

    return scale


def rotate(degrees: float) -> Transform:
    """Turns each image about its centre by a random angle; pixels keep their scale and edges are reflected.

    Args:
        degrees: the largest angle either way; 0 is the identity.
    """

    def turn(images: Tensor, generator: torch.Generator) -> Tensor:
        draws = torch.rand(len(images), generator=generator, dtype=torch.float64)
        return warped(images, [1.0] * len(images), ((2 * draws - 1) * degrees).tolist())

    return turn


def apply(transforms: Sequence[Transform], images: Tensor, generator: torch.Generator) -> Tensor:
    """The images after each transform in turn."""
    for transform in transforms:
        images = transform(images, generator)
    return images


STANDARD: tuple[Transform, ...] = (jitter(16), zoom(0.95, 1.05), rotate(5), jitter(8))
"""The transforms that `ascend` uses by default."""


def warped(images: Tensor, zooms: Sequence[float], degrees: Sequence[float]) -> Tensor:
    """Each image enlarged and turned about its centre by one bilinear sampling."""
    if all(z == 1 for z in zooms) and all(d == 0 for d in degrees):
        return images
    height, width = images.shape[2:]
    rows = []
    for z, d in zip(zooms, degrees, strict=True):
        cos, sin = math.cos(math.radians(d)) / z, math.sin(math.radians(d)) / z
        # affine_grid measures both axes from -1 to 1, so the aspect ratio has to go in and out again.
        rows.append([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    grid = F.affine_grid(images.new_tensor(rows), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
