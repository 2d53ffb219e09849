"""What convolutions, pools, borders and resizing do to places."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from .axes import Axes, dimension, usual_axes
from .dimension_rules import UNKNOWN, Call, Place, Rule, opaque
from .indexing import alone, looked
from .receptive_field import (
    Field,
    Sight,
    Window,
    adaptive_taps,
    linear_taps,
    nearest_taps,
    proportional,
    transposed_window,
    window,
)

_Windows = Sequence[Window] | None


def windowed(windows: Callable[..., _Windows]) -> Rule:
    """A rule for a function that takes (…, channels, rows, columns) by convention.

    Args:
        windows: from the output and the function's arguments to one window for each of the last two dimensions; None
            where what is seen is not known.
    """

    def rule(call: Call) -> Place:
        axes, shape = call.first.axes, call.output.shape
        if len(shape) < 3:
            return UNKNOWN
        before = axes.dimensions if axes is not None and len(axes.dimensions) == len(shape) else ()
        last = [each.kinds for each in before[-2:]]
        if last not in ([{"row"}, {"column"}], [{"column"}, {"row"}]):
            return Place(conventional(shape))
        sized = [each.resized(n) for each, n in zip(before[-2:], shape[-2:], strict=True)]
        now = Axes((*before[:-3], dimension("channel", shape[-3]), *sized))
        unseen = call.first.field is None and call.first.seen is None
        if axes is None or unseen or not all(alone(axes, len(shape) - k) for k in (1, 2)):
            return Place(now)
        found = windows(call.output, *call.args, **call.kwargs)
        if found is None:
            return Place(now)
        place = call.first
        for d, one in zip((-2, -1), found, strict=True):
            assert place.axes is not None
            resized = place.axes.replaced(d, now.dimensions[d])
            place = looked(place, resized, d, one)
        return replace(place, axes=now)

    return rule


def conventional(shape: Sequence[int]) -> Axes:
    """What a function of (…, channels, rows, columns) takes the dimensions for."""
    kinds = ("image", "channel", "row", "column")[-len(shape) :]
    more = [dimension("other", n) for n in shape[: -len(kinds)]]
    return Axes((*more, *(dimension(kind, n) for kind, n in zip(kinds, shape[len(more) :], strict=True))))


def _convolution(output, images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> _Windows:
    kernel = weight.shape[2:]
    if padding == "same":
        padding = [(k - 1) * d // 2 for k, d in zip(kernel, _pair(dilation), strict=True)]
    return _windows(kernel, stride, 0 if padding == "valid" else padding, dilation)


def _transposed(
    output, images, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
) -> _Windows:
    return [*map(transposed_window, weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation))]


def _pool(output, images, kernel_size, stride=None, padding=0, dilation=1, *_, **__) -> _Windows:
    return _windows(kernel_size, stride or kernel_size, padding, dilation)


def _average_pool(output, images, kernel_size, stride=None, padding=0, *_, **__) -> _Windows:
    return _windows(kernel_size, stride or kernel_size, padding, 1)


def _norm_pool(output, images, norm_type, kernel_size, stride=None, *_, **__) -> _Windows:
    return _windows(kernel_size, stride or kernel_size, 0, 1)


def _windows(kernel: Any, stride: Any, padding: Any, dilation: Any) -> _Windows:
    return [*map(window, _pair(kernel), _pair(stride), _pair(padding), _pair(dilation))]


def _adaptive(output, images, output_size, *_, **__) -> _Windows:
    sizes = zip(images.shape[-2:], output.shape[-2:], strict=True)
    return [proportional(before, after, adaptive_taps) for before, after in sizes]


def _interpolated(
    output,
    images,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
) -> _Windows:
    taps = {"nearest": nearest_taps, "bilinear": linear_taps}.get(mode)
    sizes = list(zip(images.shape[2:], output.shape[2:], strict=True))
    uneven = scale_factor is not None and any(
        before * factor != after for (before, after), factor in zip(sizes, _pair(scale_factor), strict=True)
    )
    if taps is None or align_corners or antialias or (uneven and not recompute_scale_factor):
        return None
    return [proportional(before, after, taps) for before, after in sizes]


def _shuffled(output, images, upscale_factor) -> _Windows:
    return [Window(1, upscale_factor, lambda o: (o // upscale_factor,))] * 2


def _unshuffled(output, images, downscale_factor) -> _Windows:
    factor = downscale_factor
    return [Window(factor, 1, lambda o: range(o * factor, (o + 1) * factor))] * 2


def padded(call: Call) -> Place:
    """A border around the last dimensions."""
    place, shape = call.first, call.output.shape
    pad, mode = list(call.given(1, "pad")), call.given(2, "mode", default="constant")
    if place.axes is None:
        return opaque(call)
    for k in range(len(pad) // 2):
        d, (left, right) = len(shape) - 1 - k, pad[2 * k : 2 * k + 2]
        if left == right == 0:
            continue
        assert place.axes is not None
        now = place.axes.replaced(d, place.axes.dimensions[d].resized(shape[d]))
        each = place.axes.dimensions[d]
        if not each.has_places:
            place = replace(place, axes=now)
        elif not alone(place.axes, d) or mode not in _REPEATED:
            place = Place(now)
        else:
            indices = [_REPEATED[mode](o, each.size) for o in range(-left, each.size + right)]
            seen = place.seen and place.seen.at(each.kinds, each.size, indices)
            place = Place(now, _bordered(place, d, left, indices, mode, call.image), seen)
    return place


_REPEATED: Mapping[str, Callable[[int, int], int]] = {
    "constant": lambda o, size: o,
    "replicate": lambda o, size: min(max(o, 0), size - 1),
    "reflect": lambda o, size: size - 1 - abs(size - 1 - abs(o)),
    "circular": lambda o, size: o % size,
}
"""What an index in a border repeats."""


def _bordered(
    place: Place, d: int, left: int, indices: Sequence[int], mode: str, image: tuple[int, int]
) -> Field | None:
    assert place.axes is not None
    each, field = place.axes.dimensions[d], place.field
    if field is None or mode == "circular":
        return None
    rows = each.kinds == {"row"}
    sight: Sight | None = field.rows if rows else field.columns
    if mode != "constant":
        outside = [(k - left, inner) for k, inner in enumerate(indices) if not 0 <= k - left < each.size]
        sight = sight.bordered(image[0 if rows else 1], outside)
    if sight is None:
        return None
    sight = sight.through(window(1, 1, left, 1))
    return replace(field, rows=sight) if rows else replace(field, columns=sight)


def batch_normed(call: Call) -> Place:
    """With running statistics a value depends on itself alone; with the batch's own, on all there are."""
    if call.first is UNKNOWN:
        return opaque(call)
    return normed(call) if call.given(5, "training", default=False) else call.first


def normed(call: Call) -> Place:
    """The same shape, but each value from all rows and columns."""
    return replace(opaque(call), seen=call.first.seen and call.first.seen.mixed(("row", "column")))


def flat_convolution(call: Call) -> Place:
    """A convolution along other than two dimensions: (images, channels, …) by convention."""
    return Place(usual_axes(call.output.shape))


WINDOWS: dict[str, Rule] = {
    "conv2d": windowed(_convolution),
    "conv_transpose2d": windowed(_transposed),
    "max_pool2d": windowed(_pool),
    "max_pool2d_with_indices": windowed(_pool),
    "avg_pool2d": windowed(_average_pool),
    "lp_pool2d": windowed(_norm_pool),
    "adaptive_avg_pool2d": windowed(_adaptive),
    "adaptive_max_pool2d": windowed(_adaptive),
    "interpolate": windowed(_interpolated),
    "pixel_shuffle": windowed(_shuffled),
    "pixel_unshuffle": windowed(_unshuffled),
    "pad": padded,
    "batch_norm": batch_normed,
    "instance_norm": normed,
    "group_norm": normed,
    **dict.fromkeys(("conv1d", "conv3d", "conv_transpose1d", "conv_transpose3d"), flat_convolution),
}


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
    return value, value
