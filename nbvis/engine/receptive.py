"""How far a unit sees: receptive fields, followed through the tensor functions of one forward pass."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

_Pair = Sequence[int]
_Span = tuple[float, float]


@dataclass(frozen=True)
class _Axis:
    """Along height or width, index q·period + r sees the image's rows or columns q·step + low … q·step + high.

    `spans` holds (low, high) for each r; the period is more than one only after something was enlarged.
    """

    step: int = 1
    spans: tuple[_Span, ...] = ((0, 0),)

    def at(self, index: int) -> _Span:
        turns, rest = divmod(index, len(self.spans))
        low, high = self.spans[rest]
        return turns * self.step + low, turns * self.step + high

    def through(self, inputs: int, outputs: int, taps: Callable[[int], Iterable[int]]) -> "_Axis":
        """After an operation whose output o reads the inputs taps(o), and o + outputs the same plus `inputs`."""
        turns = len(self.spans) // math.gcd(len(self.spans), inputs)
        spans = tuple(_hull([self.at(index) for index in taps(o)]) for o in range(outputs * turns))
        return _Axis(self.step * inputs * turns // len(self.spans), spans)

    def joined(self, other: "_Axis") -> "_Axis | None":
        """What sees both; None if the two do not advance alike."""
        if self.step * len(other.spans) != other.step * len(self.spans):
            return None
        period = math.lcm(len(self.spans), len(other.spans))
        spans = tuple(_hull([self.at(index), other.at(index)]) for index in range(period))
        return _Axis(self.step * period // len(self.spans), spans)

    def size(self) -> int:
        return int(max(0, *(high - low + 1 for low, high in self.spans)))


@dataclass(frozen=True)
class _Field:
    """Which dimensions of a tensor are height and width, and what their indices see."""

    dims: tuple[int, int] = (2, 3)
    axes: tuple[_Axis, _Axis] = (_Axis(), _Axis())

    def through(self, *operations: tuple[int, int, Callable[[int], Iterable[int]]]) -> "_Field":
        rows, columns = (axis.through(*operation) for axis, operation in zip(self.axes, operations, strict=True))
        return replace(self, axes=(rows, columns))

    def window(self, kernel: _Pair, stride: _Pair, padding: _Pair, dilation: _Pair) -> "_Field":
        return self.through(*map(_window, kernel, stride, padding, dilation))


def _window(kernel: int, stride: int, padding: int, dilation: int) -> tuple[int, int, Callable[[int], Iterable[int]]]:
    def taps(o: int) -> Iterable[int]:
        return range(o * stride - padding, o * stride - padding + kernel * dilation, dilation)

    return stride, 1, taps


def _transposed_window(
    kernel: int, stride: int, padding: int, dilation: int
) -> tuple[int, int, Callable[[int], Iterable[int]]]:
    def taps(o: int) -> Iterable[int]:
        places = (o + padding - tap * dilation for tap in range(kernel))
        return [place // stride for place in places if place % stride == 0]

    return 1, stride, taps


def _proportional(
    before: int, after: int, taps: Callable[[int, int, int], Iterable[int]]
) -> tuple[int, int, Callable[[int], Iterable[int]]]:
    """From `before` to `after` indices by taps(o, before, after), both numbers without their common divisor."""
    common = math.gcd(before, after)
    before, after = before // common, after // common
    return before, after, lambda o: taps(o, before, after)


class ReceptiveFields(TorchFunctionMode):
    """Remembers the receptive field of every tensor that comes from the input; None where it is unbounded."""

    def __init__(self):
        super().__init__()
        self._fields: Any = WeakIdKeyDictionary()

    @contextmanager
    def from_input(self, images: Tensor) -> Iterator[None]:
        """Follows what is computed from the images, (batch, channels, height, width), inside the block."""
        self._fields[images] = _Field() if images.dim() == 4 else None
        with self:
            yield

    def of(self, activation: Tensor) -> tuple[int, int] | None:
        """(height, width) in pixels that one position of an activation sees, or None if it is unbounded."""
        field = self._fields.get(activation)
        if field is None:
            return None
        rows, columns = field.axes
        return rows.size(), columns.size()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function and notes the field of what it returns."""
        kwargs = dict(kwargs or {})
        if "input" in kwargs:  # what comes first by position has different names in different functions
            args = (kwargs.pop("input"), *args)
        sources = [t for t in flat([*args, *kwargs.values()]) if isinstance(t, Tensor) and t in self._fields]
        fields = [self._fields[t] for t in sources]
        shapes = [t.shape for t in sources]
        output = func(*args, **kwargs)
        if sources and isinstance(output, Tensor | tuple | list):
            for part in flat([output]):
                if isinstance(part, Tensor):
                    self._fields[part] = _after(func, args, kwargs, fields, shapes, part)
        return output


def _after(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    fields: list[_Field | None],
    shapes: list[torch.Size],
    output: Tensor,
) -> _Field | None:
    name = getattr(func, "__name__", "").strip("_")
    field, shape = _union(fields), shapes[0]
    if field is None:
        return None
    if name in _WINDOWS:
        return _WINDOWS[name](field, output, *args, **kwargs)
    if name in ("permute", "transpose"):
        order = list(range(len(shape)))
        if name == "permute":
            order = [d % len(shape) for d in (args[1] if isinstance(args[1], tuple | list) else args[1:])]
        else:
            a, b = args[1:]
            order[a], order[b] = order[b], order[a]
            order = [d % len(shape) for d in order]
        return replace(field, dims=(order.index(field.dims[0]), order.index(field.dims[1])))
    if name in ("view", "reshape", "flatten", "unflatten"):
        # Dimensions before the last two may be regrouped, as a channel shuffle does.
        kept = field.dims == (len(shape) - 2, len(shape) - 1) and output.shape[-2:] == shape[-2:]
        return replace(field, dims=(output.dim() - 2, output.dim() - 1)) if kept else None
    same_places = all(len(s) == output.dim() and all(output.shape[d] == s[d] for d in field.dims) for s in shapes)
    if name in _POINTWISE and same_places:
        return field
    if name in ("linear", "layer_norm") and same_places and max(field.dims) < output.dim() - 1:
        return field
    return None


def _convolution(field, output, images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    kernel = weight.shape[2:]
    if padding == "same":
        padding = [(k - 1) * d // 2 for k, d in zip(kernel, _pair(dilation), strict=True)]
    return field.window(kernel, _pair(stride), _pair(0 if padding == "valid" else padding), _pair(dilation))


def _transposed(field, output, images, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    windows = map(_transposed_window, weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation))
    return field.through(*windows)


def _pool(field, output, images, kernel_size, stride=None, padding=0, dilation=1, *_, **__):
    return field.window(_pair(kernel_size), _pair(stride or kernel_size), _pair(padding), _pair(dilation))


def _average_pool(field, output, images, kernel_size, stride=None, padding=0, *_, **__):
    return field.window(_pair(kernel_size), _pair(stride or kernel_size), _pair(padding), (1, 1))


def _adaptive(field, output, images, output_size, *_, **__):
    sizes = list(zip(images.shape[2:], output.shape[2:], strict=True))
    if any(after == 1 and before > 1 for before, after in sizes):
        return None
    return field.through(*(_proportional(before, after, _adaptive_taps) for before, after in sizes))


def _adaptive_taps(o: int, before: int, after: int) -> Iterable[int]:
    return range(o * before // after, -((o + 1) * -before // after))


def _padding(field, output, images, pad, *_, **__):
    left, top = pad[0], pad[2] if len(pad) > 2 else 0
    return field.window((1, 1), (1, 1), (top, left), (1, 1)) if len(pad) <= 4 else None


def _interpolated(
    field,
    output,
    images,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    taps = {"nearest": _nearest_taps, "bilinear": _linear_taps}.get(mode)
    sizes = list(zip(images.shape[2:], output.shape[2:], strict=True))
    uneven = scale_factor is not None and any(
        before * factor != after for (before, after), factor in zip(sizes, _pair(scale_factor), strict=True)
    )
    if taps is None or align_corners or antialias or (uneven and not recompute_scale_factor):
        return None
    return field.through(*(_proportional(before, after, taps) for before, after in sizes))


def _nearest_taps(o: int, before: int, after: int) -> Iterable[int]:
    return (o * before // after,)


def _linear_taps(o: int, before: int, after: int) -> Iterable[int]:
    place, rest = divmod((2 * o + 1) * before - after, 2 * after)
    return (place, place + 1) if rest else (place,)


_WINDOWS: dict[str, Callable[..., _Field | None]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "max_pool2d": _pool,
    "max_pool2d_with_indices": _pool,
    "avg_pool2d": _average_pool,
    "lp_pool2d": lambda field, output, images, norm_type, *rest, **k: _average_pool(field, output, images, *rest, **k),
    "adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "pad": _padding,
    "interpolate": _interpolated,
}
_POINTWISE = frozenset(
    "add sub rsub mul div iadd isub imul idiv itruediv radd rmul truediv rtruediv neg abs pow sqrt exp log clamp clip "
    "clamp_min minimum maximum relu relu6 hardtanh leaky_relu prelu rrelu elu selu celu silu gelu mish sigmoid tanh "
    "hardswish hardsigmoid softplus softsign threshold logsigmoid batch_norm dropout dropout2d alpha_dropout "
    "feature_dropout feature_alpha_dropout cat concat clone contiguous to float double half type detach chunk split "
    "where lerp local_response_norm channel_shuffle getitem".split()
)


def _union(fields: Sequence[_Field | None]) -> _Field | None:
    union = fields[0]
    for field in fields[1:]:
        if union is None or field is None or union.dims != field.dims:
            return None
        rows, columns = (a.joined(b) for a, b in zip(union.axes, field.axes, strict=True))
        union = replace(union, axes=(rows, columns)) if rows and columns else None
    return union


def _hull(spans: Sequence[_Span]) -> _Span:
    """What covers them all; (inf, -inf) covers nothing."""
    return min((low for low, _ in spans), default=math.inf), max((high for _, high in spans), default=-math.inf)


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple | list | torch.Size):
        return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
    return value, value


def flat(values: Any) -> Iterator[Any]:
    """What is in lists and tuples in each other."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from flat(value)
        else:
            yield value
