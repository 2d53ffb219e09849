"""Backward rules for rectifiers, applied where the tensor function is called, whoever calls it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule = Callable[[Tensor, "Rectified"], Tensor]


@dataclass(frozen=True)
class Rectified:
    """What a rectifier let through: its input or output, its bounds, and its slope below them (LeakyReLU)."""

    values: Tensor
    low: float
    high: float | None
    slope: float

    def plain(self, gradient: Tensor) -> Tensor:
        """The ordinary backward pass, by PyTorch's own fused functions."""
        if self.slope:
            return torch.ops.aten.leaky_relu_backward(gradient, self.values, self.slope, False)
        if self.high is None:
            return torch.ops.aten.threshold_backward(gradient, self.values, self.low)
        return torch.ops.aten.hardtanh_backward(gradient, self.values, self.low, self.high)

    def above(self) -> Tensor:
        """True where the input exceeds the upper bound."""
        return torch.zeros_like(self.values, dtype=torch.bool) if self.high is None else self.values >= self.high

    def inside(self) -> Tensor:
        """True where the input lies between the bounds."""
        return (self.values > self.low) & ~self.above()


_RECTIFYING = frozenset(
    "relu relu_ relu6 hardtanh hardtanh_ clamp clamp_ clamp_min clamp_min_ clip clip_ leaky_relu leaky_relu_".split()
)
"""Functions that may be a rectifier."""


class Rectifiers(TorchFunctionMode):
    """Within it, every ReLU and ReLU6 has the backward rule given: module, functional, in-place, method or reused.

    Args:
        rule: (gradient, rectified) → gradient at the input, where `gradient` arrives from the output and `rectified`
            is what the rectifier did there.
        leaky: whether LeakyReLU has the rule too.

    Attributes:
        met: how often each tensor function that took the rule was called, by name.
    """

    def __init__(self, rule: Rule, leaky: bool = False):
        super().__init__()
        self.rule = rule
        self.leaky = leaky
        self.met: Counter[str] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function; a rectifier runs with the rule."""
        if getattr(func, "__name__", "") not in _RECTIFYING:
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        bounds = _bounds(func, args, kwargs) or (_leaky(func, args, kwargs) if self.leaky else None)
        images: Any = args[0] if args else kwargs.get("input")
        if bounds is None or not images.is_floating_point():  # whole numbers are indices and sizes, kept in bounds
            return func(*args, **kwargs)
        self.met[func.__name__.rstrip("_")] += 1
        in_place = _in_place(func.__name__, args, kwargs)
        return _Rectifier.apply(images, *bounds, self.rule, in_place, in_place or func.__name__ == "relu")


def redirected(gradient: Tensor, rectified: Rectified) -> Tensor:
    """Where an image gets no gradient at all through a rectifier, lets through what leads back inside its bounds.

    Source: the redirected ReLU of Mordvintsev et al.'s lucid, here for a score that is to grow, and for ReLU6 too.
    """
    plain = rectified.plain(gradient)
    rows = plain.flatten(1) if plain.dim() > 1 else plain.reshape(-1, 1)
    blocked = ~(rows != 0).any(1)
    if not blocked.any():
        return plain
    inward = torch.where(rectified.above(), gradient < 0, gradient > 0)
    redirected = torch.where(rectified.inside() | inward, gradient, torch.zeros_like(gradient))
    return torch.where(blocked.view((*plain.shape[:1], *[1] * (plain.dim() - 1))), redirected, plain)


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        low: float,
        high: float | None,
        slope: float,
        rule: Rule,
        in_place: bool,
        keeps_output: bool,
    ) -> Tensor:
        ctx.low, ctx.high, ctx.slope, ctx.rule = low, high, slope, rule
        if in_place:
            ctx.mark_dirty(images)
            output = F.leaky_relu_(images, slope) if slope else images.clamp_(low, high)
        else:
            output = F.leaky_relu(images, slope) if slope else images.clamp(low, high)
        # Either tells on which side of a bound the input was. It is the one that torch's own function keeps, so that
        # whatever may be written in place afterwards still may.
        ctx.save_for_backward(output if keeps_output else images)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        rectified = Rectified(kept, ctx.low, ctx.high, ctx.slope)
        return ctx.rule(gradients[0], rectified), None, None, None, None, None, None


def is_rectifier(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call is one of a ReLU, ReLU6 or LeakyReLU."""
    return bool(_bounds(func, args, kwargs) or _leaky(func, args, kwargs))


def _in_place(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    position = {"relu": 1, "relu6": 1, "leaky_relu": 2, "hardtanh": 3}.get(name, len(args))
    return name.endswith("_") or bool(args[position] if position < len(args) else kwargs.get("inplace", False))


def _bounds(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[float, float | None, float] | None:
    """The bounds below and above which a rectifier is flat and its slope outside, None for any other function."""
    name = getattr(func, "__name__", "")
    if name in ("relu", "relu_"):
        return 0.0, None, 0.0
    if name == "relu6":
        return 0.0, 6.0, 0.0
    if name in ("hardtanh", "hardtanh_"):
        low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
        return (0.0, args[2] if len(args) > 2 else kwargs.get("max_val", 1.0), 0.0) if low == 0 else None
    if name in ("clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "clip_"):
        low = args[1] if len(args) > 1 else kwargs.get("min")
        high = args[2] if len(args) > 2 else kwargs.get("max")
        is_rectifier = isinstance(low, int | float) and low == 0 and (high is None or isinstance(high, int | float))
        return (0.0, None if high is None else float(high), 0.0) if is_rectifier else None
    return None


def _leaky(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[float, float | None, float] | None:
    if getattr(func, "__name__", "") not in ("leaky_relu", "leaky_relu_"):
        return None
    slope = args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
    return (0.0, None, float(slope)) if slope >= 0 else None
