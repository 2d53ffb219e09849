"""A layer's output as (images, channels, positions), and where in the layer a position is."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..tracing.axes import Axes


def by_position(activation: Tensor, axes: Axes) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """An activation as (images, channels, positions), and a function from positions to (…, 2), rows and columns.

    Tokens besides the grid, such as a class token, come after it, as row -1.
    """
    planes = axes.planes(activation)
    if planes.dim() < 3:
        planes = planes.reshape(len(planes) if planes.dim() else 1, -1, 1)
    height, width = planes.shape[2], math.prod(planes.shape[3:])
    values = planes.flatten(2)
    beside = [d for d, each in enumerate(axes.dimensions) if each.before or each.after] if axes.grid else []
    image = next((d for d, each in enumerate(axes.dimensions) if "image" in each.kinds), None)
    if len(beside) == 1 and image is not None and axes.channel is not None:
        size, each = activation.shape[beside[0]], axes.dimensions[beside[0]]
        ends = [
            activation.narrow(beside[0], 0, each.before),
            activation.narrow(beside[0], size - each.after, each.after),
        ]
        tokens = torch.cat(ends, beside[0]).movedim((image, axes.channel), (0, 1))
        values = torch.cat([values, tokens.flatten(2)], 2)
    return values, partial(_places, height, width)


def _places(height: int, width: int, positions: Tensor) -> Tensor:
    beside = positions - height * width
    rows = torch.where(beside < 0, positions // max(width, 1), -1)
    columns = torch.where(beside < 0, positions % max(width, 1), beside)
    return torch.stack([rows, columns], -1)
