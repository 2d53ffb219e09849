"""Random transforms between the image and the network, so that what is found does not hang on single pixels.

A transform is a function (images, generator) → images, every draw taken from the generator, one for each image.
Composition is a list. `pad`, `crop`, `random_crop` and `resize` change the pictures' size, which the network then has
to take, unless another one of them brings it back; the others keep it.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import number, whole
from .spelt import Spelt

Transform = Callable[[Tensor, torch.Generator], Tensor]


def jitter(pixels: int) -> Transform:
    """Shifts each image by a whole number of pixels in each direction; what leaves is replaced by reflection.

    Args:
        pixels: the largest shift; 0 is the identity.

    Example:
        >>> jitter(2)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 8, 8])
    """
    whole(pixels, "pixels")

    def shift(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        most = min(pixels, height - 1, width - 1)
        if most <= 0:
            return images
        padded = F.pad(images, (most, most, most, most), mode="reflect")
        places = torch.randint(0, 2 * most + 1, (len(images), 2), generator=generator).tolist()
        return torch.stack([padded[i, :, r : r + height, c : c + width] for i, (r, c) in enumerate(places)])

    return Spelt(shift, "jitter", pixels)


def affine(*, shift: float = 0, zoom: tuple[float, float] = (1, 1), degrees: float = 0) -> Transform:
    """Shows each image from a random place, distance and angle, by one sampling; edges are reflected.

    Args:
        shift: the largest distance of the view's centre from the image's, rows and columns each, pixels.
        zoom: the smallest and the largest enlargement, both sides alike; drawn as often 1.1 as 1 / 1.1.
        degrees: the largest angle either way. `affine()` is the identity.

    Raises:
        ValueError: if the factors of `zoom` are not positive or out of order, or another number is negative.

    Example:
        >>> affine(shift=2, zoom=(0.9, 1.1), degrees=5)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 8, 8])
    """
    least, most = zoom
    if not 0 < least <= most:
        raise ValueError(f"zoom takes 0 < least <= most, not {least} and {most}")
    number(shift, "shift")
    number(degrees, "degrees")

    def warp(images: Tensor, generator: torch.Generator) -> Tensor:
        down, right, nearer, turn = torch.rand(4, len(images), generator=generator, dtype=torch.float64)
        shifts = torch.stack([down, right], 1).mul(2).sub(1).mul(shift)
        factors = least * (most / least) ** nearer
        return warped(images, factors.tolist(), ((2 * turn - 1) * degrees).tolist(), shifts.tolist())

    return Spelt(warp, "affine", shift=shift, zoom=zoom, degrees=degrees)


def zoom(least: float, most: float) -> Transform:
    """Enlarges each image about its centre by a random factor, both sides alike; as `affine(zoom=(least, most))`."""
    return Spelt(affine(zoom=(least, most)), "zoom", least, most)


def rotate(degrees: float) -> Transform:
    """Turns each image about its centre by a random angle either way; as `affine(degrees=degrees)`."""
    return Spelt(affine(degrees=degrees), "rotate", degrees)


def translate(down: float, right: float) -> Transform:
    """Shifts each image by a random part of its height and its width either way; edges are reflected.

    Args:
        down: the largest shift of the rows, as a part of the height.
        right: the largest shift of the columns, as a part of the width. `translate(0, 0)` is the identity.

    Raises:
        ValueError: if a part is not from 0 to 1.

    Example:
        >>> translate(0.1, 0.1)(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 8, 8])
    """
    if not (0 <= down <= 1 and 0 <= right <= 1):
        raise ValueError(f"translate takes parts of height and width from 0 to 1, not {down!r} and {right!r}")

    def shift(images: Tensor, generator: torch.Generator) -> Tensor:
        parts = 2 * torch.rand(len(images), 2, generator=generator, dtype=torch.float64) - 1
        most = torch.tensor([down * images.shape[2], right * images.shape[3]], dtype=torch.float64)
        return warped(images, [1.0] * len(images), [0.0] * len(images), (parts * most).tolist())

    return Spelt(shift, "translate", down, right)


def cutout(share: float) -> Transform:
    """Covers a square of each image, at a random place inside it, with grey: what is drawn cannot hang on one spot.

    Args:
        share: what part of the image's shorter side the square's side is, to the nearest pixel; 0 is the identity.

    Raises:
        ValueError: if the part is not from 0 to 1.

    Source: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout", arXiv
    1708.04552; there the square may lie partly outside.

    Example:
        >>> (cutout(0.5)(torch.ones(1, 3, 8, 12), torch.Generator()) == 0.5).sum()
        tensor(48)
    """
    number(share, "share", most=1)

    def cover(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        side = round(share * min(height, width))
        if not side:
            return images
        covered = torch.zeros(len(images), 1, height, width, dtype=torch.bool)
        places = torch.rand(len(images), 2, generator=generator, dtype=torch.float64)
        for i, (down, right) in enumerate(places.tolist()):
            row, column = int(down * (height - side + 1)), int(right * (width - side + 1))
            covered[i, :, row : row + side, column : column + side] = True
        return torch.where(covered.to(images.device), 0.5, images)

    return Spelt(cover, "cutout", share)


def choice(*transforms: Transform) -> Transform:
    """Gives each image to one of some transforms, all alike: `choice(zoom(0.9, 0.9), zoom(1.1, 1.1))`.

    Args:
        transforms: from which to choose; they must give pictures of one size.

    Raises:
        ValueError: if there are none.

    Example:
        >>> choice(rotate(5), jitter(2))(torch.rand(1, 3, 8, 8), torch.Generator()).shape
        torch.Size([1, 3, 8, 8])
    """
    if not transforms:
        raise ValueError("choice needs at least one transform to choose from")

    def chosen(images: Tensor, generator: torch.Generator) -> Tensor:
        places = torch.randint(len(transforms), (len(images),), generator=generator).tolist()
        return torch.cat([transforms[k](images[i : i + 1], generator) for i, k in enumerate(places)])

    return Spelt(chosen, "choice", *transforms)


def apply(transforms: Sequence[Transform], images: Tensor, generator: torch.Generator) -> Tensor:
    """The images after each transform in turn."""
    for transform in transforms:
        images = transform(images, generator)
    return images


STANDARD: tuple[Transform, ...] = (affine(shift=16, zoom=(0.9, 1.1), degrees=5), cutout(0.36))
"""The transforms that `ascend` uses by default: with them, what one network sees in a picture others see too."""


def warped(
    images: Tensor, zooms: Sequence[float], degrees: Sequence[float], shifts: Sequence[Sequence[float]] | None = None
) -> Tensor:
    """Each image enlarged and turned anticlockwise about a point off its centre (rows, columns), bilinearly."""
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
