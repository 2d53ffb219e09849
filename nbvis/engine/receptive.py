"""How far a unit sees: receptive fields, followed through the tensor functions of one forward pass."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

_Pair = Sequence[float]


@dataclass(frozen=True)
class _Field:
    """Index i along a tensor's height or width sees the image's rows or columns i·jump + low … i·jump + high."""

    dims: tuple[int, int] = (2, 3)
    jump: tuple[float, float] = (1, 1)
    low: tuple[float, float] = (0, 0)
    high: tuple[float, float] = (0, 0)

    def window(self, kernel: _Pair, stride: _Pair, padding: _Pair, dilation: _Pair) -> "_Field":
        """After a window of that size: output i covers the inputs from i·stride - padding on."""
        return replace(
            self,
            jump=_each(lambda j, s: j * s, self.jump, stride),
            low=_each(lambda low, j, p: low - j * p, self.low, self.jump, padding),
            high=_each(
                lambda high, j, k, p, d: high + j * ((k - 1) * d - p), self.high, self.jump, kernel, padding, dilation
            ),
        )

    def spread(self, kernel: _Pair, stride: _Pair, padding: _Pair, dilation: _Pair) -> "_Field":
        """After a transposed window: output o comes from the inputs (o + padding - reach) / stride to the next."""
        return replace(
            self,
            jump=_each(lambda j, s: j / s, self.jump, stride),
            low=_each(
                lambda low, j, k, s, p, d: low + j * math.ceil((p - (k - 1) * d) / s),
                *(self.low, self.jump, kernel, stride, padding, dilation),
            ),
            high=_each(lambda high, j, s, p: high + j * math.floor(p / s), self.high, self.jump, stride, padding),
        )


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
        height, width = (int(high - low) + 1 for low, high in zip(field.low, field.high, strict=True))
        return height, width

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function and notes the field of what it returns."""
        kwargs = kwargs or {}
        sources = [t for t in _flat([*args, *kwargs.values()]) if isinstance(t, Tensor) and t in self._fields]
        fields = [self._fields[t] for t in sources]
        shape = sources[0].shape if sources else None
        output = func(*args, **kwargs)
        if sources and isinstance(output, Tensor):
            self._fields[output] = _after(func, args, kwargs, fields, shape, output)
        elif sources and isinstance(output, tuple | list):
            for part in _flat(output):
                if isinstance(part, Tensor):
                    self._fields[part] = _after(func, args, kwargs, fields, shape, part)
        return output


def _after(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    fields: list[_Field | None],
    shape: Any,
    output: Tensor,
) -> _Field | None:
    name = getattr(func, "__name__", "").strip("_")
    field = _union(fields)
    if field is None:
        return None
    if name in _WINDOWS:
        return _WINDOWS[name](field, output, *args, **kwargs)
    if name == "permute":
        order = [d % len(shape) for d in (args[1] if isinstance(args[1], tuple | list) else args[1:])]
        return replace(field, dims=(order.index(field.dims[0]), order.index(field.dims[1])))
    if name in _POINTWISE and output.dim() == len(shape) and all(output.shape[d] == shape[d] for d in field.dims):
        return field
    if name in ("linear", "layer_norm") and output.dim() == len(shape) and max(field.dims) < output.dim() - 1:
        return field
    return None


def _convolution(field, output, images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    kernel = weight.shape[2:]
    if padding == "same":
        padding = [(k - 1) * d // 2 for k, d in zip(kernel, _pair(dilation), strict=True)]
    return field.window(kernel, _pair(stride), _pair(0 if padding == "valid" else padding), _pair(dilation))


def _transposed(field, output, images, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    return field.spread(weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation))


def _pool(field, output, images, kernel_size, stride=None, padding=0, dilation=1, *_, **__):
    return field.window(_pair(kernel_size), _pair(stride or kernel_size), _pair(padding), _pair(dilation))


def _average_pool(field, output, images, kernel_size, stride=None, padding=0, *_, **__):
    return field.window(_pair(kernel_size), _pair(stride or kernel_size), _pair(padding), (1, 1))


def _adaptive(field, output, images, output_size, *_, **__):
    before, after = images.shape[2:], output.shape[2:]
    if any(b % a or (a == 1 and b > 1) for b, a in zip(before, after, strict=True)):
        return None
    kernel = [b // a for b, a in zip(before, after, strict=True)]
    return field.window(kernel, kernel, (0, 0), (1, 1))


def _padding(field, output, images, pad, *_, **__):
    left, top = pad[0], pad[2] if len(pad) > 2 else 0
    return field.window((1, 1), (1, 1), (top, left), (1, 1)) if len(pad) <= 4 else None


def _interpolated(field, output, images, size=None, scale_factor=None, mode="nearest", *_, **__):
    factor = [a / b for a, b in zip(output.shape[2:], images.shape[2:], strict=True)]
    if min(factor) < 1:
        return None
    reach = 0 if mode == "nearest" else 1
    return replace(
        field,
        jump=_each(lambda j, f: j / f, field.jump, factor),
        high=_each(lambda high, j: high + j * reach, field.high, field.jump),
    )


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
    known = [field for field in fields if field is not None]
    if not known or len(known) < len(fields) or len({(f.jump, f.dims) for f in known}) > 1:
        return None
    return replace(
        known[0],
        low=(min(f.low[0] for f in known), min(f.low[1] for f in known)),
        high=(max(f.high[0] for f in known), max(f.high[1] for f in known)),
    )


def _each(function: Callable[..., float], *pairs: _Pair) -> tuple[float, float]:
    return function(*(p[0] for p in pairs)), function(*(p[1] for p in pairs))


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple | list | torch.Size):
        return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
    return value, value


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield value
