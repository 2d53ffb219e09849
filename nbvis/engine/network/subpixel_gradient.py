"""The gradient of strided convolutions at the picture, found as a convolution without a stride."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PICTURE = 4
"""Input channels of a convolution on a picture, at most: with more than that, PyTorch's own way is as fast."""


def take_subpixel_gradients(module: nn.Module) -> None:
    """Has the strided convolutions on the picture send their gradient back as `gradient_at_inputs` does.

    Args:
        module: a private copy, on the CPU and in single precision, whose weights need no gradient.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and _fits(part):
            # As an attribute of the one convolution: its name, its hooks and all that it consists of stay as they are.
            part.__dict__["_conv_forward"] = _convolution(part.stride, [int(each) for each in part.padding])


def _fits(part: nn.Conv2d) -> bool:
    return (
        type(part)._conv_forward is nn.Conv2d._conv_forward
        and part.in_channels <= _PICTURE
        and part.groups == 1
        and part.stride[0] == part.stride[1] > 1
        and part.dilation == (1, 1)
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
    )


def _convolution(stride: Sequence[int], padding: Sequence[int]) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    def convolution(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        plain = type(inputs) is Tensor and inputs.dtype == weight.dtype and not torch.is_autocast_enabled("cpu")
        if not plain or not inputs.requires_grad or weight.requires_grad:
            return F.conv2d(inputs, weight, bias, stride, padding)
        return _Convolution.apply(inputs, weight, bias, stride, padding)

    return convolution


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int]
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.padding, ctx.size = stride[0], padding, inputs.shape[-2:]
        return F.conv2d(inputs, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return gradient_at_inputs(gradients[0], weight, ctx.stride, ctx.padding, ctx.size), None, None, None, None


def gradient_at_inputs(
    gradient: Tensor, weight: Tensor, stride: int, padding: Sequence[int], size: Sequence[int]
) -> Tensor:
    """The gradient at a strided convolution's inputs, from that at its outputs.

    Pixels that lie as far from the grid of the stride get their gradient through the same part of the kernel. So there
    is one small kernel for each place within the stride; all of them together are one convolution, and its channels are
    then dealt out to the pixels, as in a sub-pixel convolution.

    Args:
        gradient: (…, output channels, rows, columns).
        weight: of the convolution, (output channels, input channels, kernel height, kernel width).
        stride: of both directions, pixels.
        padding: of the rows and of the columns, pixels.
        size: of the inputs, (height, width).

    Returns:
        (…, input channels, height, width).

    Source: Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?", arXiv 1609.07009.

    Example:
        >>> weight, picture = torch.rand(8, 3, 5, 5), torch.rand(1, 3, 9, 9, requires_grad=True)
        >>> output = F.conv2d(picture, weight, stride=2, padding=2)
        >>> output.sum().backward()
        >>> torch.allclose(gradient_at_inputs(torch.ones_like(output), weight, 2, (2, 2), (9, 9)), picture.grad)
        True
    """
    outputs, inputs, *kernel = weight.shape
    parts = [-(-length // stride) for length in kernel]
    room = [stride * count - length for count, length in zip(parts, kernel, strict=True)]
    grid = F.pad(weight, (0, room[1], 0, room[0])).view(outputs, inputs, parts[0], stride, parts[1], stride)
    kernels = grid.permute(3, 5, 1, 0, 2, 4).flip(4, 5).reshape(stride**2 * inputs, outputs, *parts)
    shown = F.conv2d(gradient, kernels, padding=[count - 1 for count in parts])
    # Channels last, because so the channels of a pixel's neighbours lie side by side.
    places = shown.movedim(-3, -1).unflatten(-1, (stride, stride, inputs)).transpose(-4, -3)
    (height, width), (top, left) = size, padding
    found = places.flatten(-5, -4).flatten(-3, -2)[..., top : top + height, left : left + width, :].movedim(-1, -3)
    missing = width - found.shape[-1], height - found.shape[-2]  # at the end, where no kernel reaches
    return F.pad(found, (0, missing[0], 0, missing[1])) if any(missing) else found
