"""Patches: what a unit sees of an image, cut out of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..arguments import whole
from .images import Images, as_images
from .layers import Layer


def patch(
    images: Images, layer: Layer, position: tuple[int, int] | None = None, *, fill: float | Sequence[float] = 0.0
) -> Tensor:
    """The part of images that one unit of a layer can see: the crop to its receptive field.

    The patch has the size of the field also where that reaches beyond the image: what lies outside is filled, and the
    image stands where the unit sees it, so that patches of units anywhere line up. A unit whose field is unbounded or
    not known (after a global mean, a fully connected layer, attention) sees the whole image.

    Args:
        images: (batch, channels, height, width), of the size that `layers` was given.
        layer: one of `layers(network, images)`.
        position: (row, column) of the unit in the layer's grid, such as one of `top_positions`, where (-1, k) is token
            k beside the grid, which sees the whole image; None for a layer without a grid.
        fill: what stands outside the image: a number, or one for each channel, such as the mean of the data set.

    Returns:
        (batch, channels, height, width) of the field, which is `layer.receptive_field` (where an activation was
        enlarged, its units see more or less of that), or of the images.

    Raises:
        ValueError: if the images are of another size than those that `layers` was given, the position lies outside
            the grid, or the unit sees nothing of the image.

    Source:
        The maximal patches of the Deep Visualization Toolbox (Yosinski et al. 2015, arXiv 1506.06579).

    Example:
        >>> images = torch.rand(1, 3, 9, 9)
        >>> first = layers(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1)), images)[0]
        >>> corner, middle = patch(images, first, (0, 0)), patch(images, first, (2, 2))
        >>> torch.equal(middle, images[..., 3:6, 3:6]), torch.equal(corner[..., 1:, 1:], images[..., :2, :2])
        (True, True)
    """
    images = as_images(images)
    size = (images.shape[-2], images.shape[-1])
    if images.dim() != 4:
        raise ValueError(f"images must be (batch, channels, height, width), not {tuple(images.shape)}")
    if layer.image_size not in (None, size):
        raise ValueError(
            f"layer {layer.name!r} is what layers(network, images) told of images of {_by(layer.image_size)}, and "
            f"these are of {_by(size)}: give it these"
        )
    place = _checked(position, layer)
    if layer.field is None or place is None:
        return images.clone()
    row, column = place
    spans = layer.field.rows.at(row), layer.field.columns.at(column)
    if any(low > high for low, high in spans):
        raise ValueError(f"the unit at {(row, column)} of layer {layer.name!r} sees nothing of the image")
    return _filled(images, [(int(low), int(high) + 1) for low, high in spans], fill)


def _filled(images: Tensor, spans: Sequence[tuple[int, int]], fill: float | Sequence[float]) -> Tensor:
    """The images from one pixel to before another, along rows and columns, with what is outside them filled."""
    colour = torch.as_tensor(fill, dtype=images.dtype, device=images.device)
    if colour.dim() > 1 or colour.numel() not in (1, images.shape[1]):
        raise ValueError(f"fill is a number, or one for each of {images.shape[1]} channels, not {fill!r}")
    lengths = [stop - start for start, stop in spans]
    patches = colour.view(1, -1, 1, 1).expand(*images.shape[:2], *lengths).clone()
    inside = [(max(start, 0), min(stop, n)) for (start, stop), n in zip(spans, images.shape[2:], strict=True)]
    (top, bottom), (left, right) = inside
    if top < bottom and left < right:
        there = [slice(low - start, high - start) for (low, high), (start, _) in zip(inside, spans, strict=True)]
        patches[..., there[0], there[1]] = images[..., top:bottom, left:right]
    return patches


def _checked(position: tuple[int, int] | None, layer: Layer) -> tuple[int, int] | None:
    """The row and column, if the layer has them; None for a token beside the grid."""
    grid = layer.axes.grid or (1, 1)
    if position is None:
        if grid != (1, 1):
            raise ValueError(f"layer {layer.name!r} has a grid of {_by(grid)}: say which unit, as (row, column)")
        return 0, 0
    row, column = (int(each) for each in position)
    if row == -1 and 0 <= column < layer.axes.besides:
        return None
    row, column = whole(row, "a row or column"), whole(column, "a row or column")
    if row >= grid[0] or column >= grid[1]:
        raise ValueError(f"there is no unit at {(row, column)} in layer {layer.name!r}, a grid of {_by(grid)}")
    return row, column


def _by(size: tuple[int, int] | None) -> str:
    return f"{size[0]} × {size[1]}" if size else "?"
