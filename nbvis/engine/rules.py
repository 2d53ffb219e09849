"""Backward rules for rectifiers, applied where the tensor function is called, whoever calls it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule = Callable[[Tensor, Tensor, Tensor], Tensor]


class Rectifiers(TorchFunctionMode):
    """Within it, every ReLU and ReLU6 has the backward rule given: module, functional, in-place, method or reused.

    Args:
        rule: (gradient, inside, above) → gradient at the input, where `gradient` arrives from the output, `inside` is
            True where the input lies between the rectifier's bounds and `above` where it exceeds the upper one.
    """

    def __init__(self, rule: Rule):
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function; a rectifier runs with the rule."""
        kwargs = kwargs or {}
        bounds = _bounds(func, args, kwargs)
        if bounds is None:
            return func(*args, **kwargs)
        images = args[0] if args else kwargs["input"]
        output: Any = _Rectifier.apply(images, *bounds, self.rule)
        return images.copy_(output) if _in_place(func.__name__, args, kwargs) else output


def redirected(gradient: Tensor, inside: Tensor, above: Tensor) -> Tensor:
    """Where an image gets no gradient at all through a rectifier, lets through what leads back inside its bounds.

    Source: the redirected ReLU of Mordvintsev et al.'s lucid, here for a score that is to grow, and for ReLU6 too.
    """
    plain = gradient * inside
    blocked = ~(plain != 0).flatten(1).any(1)
    if not blocked.any():
        return plain
    inward = torch.where(above, gradient < 0, gradient > 0)
    redirected = torch.where(inside | inward, gradient, torch.zeros_like(gradient))
    return torch.where(blocked.view(-1, *[1] * (gradient.dim() - 1)), redirected, plain)


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, low: float, high: float | None, rule: Rule) -> Tensor:
        ctx.save_for_backward(images.detach().clone())
        ctx.high, ctx.low, ctx.rule = high, low, rule
        return images.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (images,) = ctx.saved_tensors
        above = torch.zeros_like(images, dtype=torch.bool) if ctx.high is None else images >= ctx.high
        return ctx.rule(gradients[0], (images > ctx.low) & ~above, above), None, None, None


def _in_place(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    position = {"relu": 1, "relu6": 1, "hardtanh": 3}.get(name, len(args))
    return name.endswith("_") or bool(args[position] if position < len(args) else kwargs.get("inplace", False))


def _bounds(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[float, float | None] | None:
    """The bounds below and above which a rectifier is flat, None for any other function."""
    name = getattr(func, "__name__", "")
    if name in ("relu", "relu_"):
        return 0.0, None
    if name == "relu6":
        return 0.0, 6.0
    if name in ("hardtanh", "hardtanh_"):
        low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
        return (0.0, args[2] if len(args) > 2 else kwargs.get("max_val", 1.0)) if low == 0 else None
    if name in ("clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "clip_"):
        low = args[1] if len(args) > 1 else kwargs.get("min")
        high = args[2] if len(args) > 2 else kwargs.get("max")
        is_rectifier = isinstance(low, int | float) and low == 0 and (high is None or isinstance(high, int | float))
        return (0.0, None if high is None else float(high)) if is_rectifier else None
    return None
