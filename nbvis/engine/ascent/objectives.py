"""Objectives: named functions from activations to one score for each image, higher is better, with arithmetic."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..network.activations import planes
from ..network.layers import OUTPUT
from .objective_source import Names, Text, product_of, sum_of

Activations = Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    """One weighted part of an objective, with the mask its gradient is confined to: the product of `masks`."""

    function: Callable[[Activations], Tensor]
    layers: tuple[str, ...]
    text: Text
    weight: float = 1.0
    mask: Tensor | None = None
    masks: tuple[Tensor, ...] = ()


class Objective:
    """A sum of terms; add, subtract, negate and multiply it, and confine it to a part of the picture.

    `a + b`, `a - b`, `-a`, `2 * a` and `a / 2` mean what they say, `a * b` is the product of the two scores, and
    `str(objective)` is the expression itself.

    Example:
        >>> objective = channel("conv", 1) - 0.5 * channel("conv", 0)
        >>> objective.score({"conv": torch.tensor([[2.0, 3.0]])})
        tensor([2.])
        >>> print(objective)
        channel('conv', 1) - 0.5 * channel('conv', 0)
    """

    def __init__(self, terms: tuple[Term, ...]):
        self.terms = terms

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers it needs, each once."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.layers))

    def score(self, activations: Activations) -> Tensor:
        """The score of each image, (batch,), from the activations of `layers`; masks play no part in it.

        Args:
            activations: as the function of that name gives them, which knows their axes; in any other dict they are
                (batch, channels, …).
        """
        return torch.stack([term.weight * term.function(activations) for term in self.terms]).sum(0)

    def within(self, mask: Tensor) -> "Objective":
        """The same objective, whose gradient reaches the picture only through a mask.

        Args:
            mask: (height, width) of the picture, in [0, 1]; where it is 0 the picture does not change at all.

        Raises:
            ValueError: if the mask is not two-dimensional, leaves [0, 1], holds NaN, or is 0 everywhere.
        """
        mask = _checked_mask(mask)
        # Terms that shared a mask go on sharing one, since what shares a mask shares a gradient.
        masks = {id(t.mask): mask if t.mask is None else _checked_mask(_product(t.mask, mask)) for t in self.terms}
        return Objective(tuple(replace(t, mask=masks[id(t.mask)], masks=(*t.masks, mask)) for t in self.terms))

    def __add__(self, other: "Objective | float") -> "Objective":
        """The sum; a number is added to every image's score."""
        return Objective(self.terms + _as_objective(other).terms)

    def __mul__(self, other: "Objective | float") -> "Objective":
        """A multiple, or the product of two scores."""
        if not isinstance(other, Objective):
            factor = _number(other)
            return Objective(tuple(replace(t, weight=t.weight * factor) for t in self.terms))
        if any(t.mask is not None for t in self.terms + other.terms):
            raise ValueError("a product has one gradient: write (a * b).within(mask), not a.within(mask) * b")
        layers = tuple(dict.fromkeys(self.layers + other.layers))
        text = product_of(self.terms, other.terms)
        return Objective((Term(lambda acts: self.score(acts) * other.score(acts), layers, text),))

    def __sub__(self, other: "Objective | float") -> "Objective":
        """The difference."""
        return self + -_as_objective(other)

    def __rsub__(self, other: float) -> "Objective":
        """A number minus the objective."""
        return -self + other

    def __neg__(self) -> "Objective":
        """The opposite: its highest score is this one's lowest."""
        return self * -1.0

    def __truediv__(self, other: float) -> "Objective":
        """A fraction."""
        return self * (1.0 / _number(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        """The expression, valid Python once its masks and functions have the names in it."""
        return self.source(Names())

    __repr__ = __str__

    def source(self, names: Names) -> str:
        """The expression as Python that gives the same gradients to the bit; `names` learns what it needs.

        Args:
            names: of masks and functions.

        Example:
            >>> half, names = torch.ones(2, 3) / 2, Names()
            >>> (logit(1).within(half) + logit(2).within(1 - half / 2)).source(names), list(names.masks)
            ('logit(1).within(mask) + logit(2).within(mask_2)', ['mask', 'mask_2'])
        """
        return sum_of(self.terms, names)


Objectives = Objective | Sequence[Objective]
"""One objective for all images, or one for each."""


def channel(layer: str, index: int) -> Objective:
    """The mean activation of one channel, wherever the layer keeps its channels (see `Layer.axes`).

    Tokens besides the grid, such as a class token, do not count.

    Args:
        layer: the layer's name.
        index: the channel, from 0; negative counts from the end.
    """
    index = _whole(index, "a channel")
    return _term(lambda acts: _mean(_channel(acts, layer, index)), layer, f"channel({layer!r}, {index})")


def unit(layer: str, channel: int, row: int | None = None, column: int | None = None) -> Objective:
    """The activation of one channel at one position.

    Args:
        layer: the layer's name.
        channel: the channel, from 0.
        row: None for the middle, which is height // 2.
        column: None for the middle, which is width // 2.
    """
    channel = _whole(channel, "a channel")
    row = None if row is None else _whole(row, "a row")
    column = None if column is None else _whole(column, "a column")

    def score(acts: Activations) -> Tensor:
        plane = _channel(acts, layer, channel)
        if plane.dim() != 3:
            shape = tuple(acts[layer].shape)
            raise ValueError(f"layer {layer!r} has shape {shape}, without rows and columns: use channel({layer!r}, …)")
        height, width = plane.shape[1:]
        r, c = height // 2 if row is None else row, width // 2 if column is None else column
        if not (-height <= r < height and -width <= c < width):
            raise ValueError(f"layer {layer!r} has {height} × {width} positions, so there is none at ({r}, {c})")
        return plane[:, r, c]

    place = "" if row is None and column is None else f", {row}, {column}"
    return _term(score, layer, f"unit({layer!r}, {channel}{place})")


def check_classes(output: Tensor) -> None:
    """Refuses a network's output that holds no scores of classes.

    Raises:
        ValueError: if it is not (batch, classes), or not of floating-point numbers.
    """
    instead = "give an objective instead, such as channel, unit or custom"
    if output.dim() != 2 or not output.shape[1]:
        raise ValueError(f"the network's output has shape {tuple(output.shape)}, not (batch, classes): {instead}")
    if not output.is_floating_point():
        raise ValueError(f"the network's output is {output.dtype}, not floating-point numbers: {instead}")


def logit(index: int) -> Objective:
    """The network's output for one class, before any softmax.

    Args:
        index: the class, from 0.
    """
    index = _whole(index, "a class")

    def score(acts: Activations) -> Tensor:
        output = acts[OUTPUT]
        check_classes(output)
        if not -output.shape[1] <= index < output.shape[1]:
            raise ValueError(f"no class {index}: the network has {output.shape[1]}, 0 to {output.shape[1] - 1}")
        return output[:, index]

    return _term(score, OUTPUT, f"logit({index})")


def activity(layer: str) -> Objective:
    """How strongly a whole layer responds: the mean of its squared activations (DeepDream's objective).

    Args:
        layer: the layer's name.
    """
    return _term(lambda acts: _mean(acts[layer].square()), layer, f"activity({layer!r})")


def energy(layer: str, index: int) -> Objective:
    """Half the sum of one channel's squared activations; its gradient there is the activation map itself.

    This is where the Deep Visualization Toolbox starts its backward passes from in live mode.

    Args:
        layer: the layer's name.
        index: the channel, from 0; negative counts from the end.

    Example:
        >>> energy("conv", 1).score({"conv": torch.tensor([[[[5.0]], [[2.0]]]])})
        tensor([2.])
    """
    index = _whole(index, "a channel")

    def score(acts: Activations) -> Tensor:
        squares = _channel(acts, layer, index).square()
        return (squares if squares.dim() == 1 else squares.flatten(1).sum(1)) / 2

    return _term(score, layer, f"energy({layer!r}, {index})")


def custom(function: Callable[..., Tensor], *layers: str) -> Objective:
    """An objective of your own.

    Args:
        function: takes the activations of the layers, one argument each, and returns one score for each image,
            (batch,), higher is better.
        layers: the names of the layers; "" is the network's output.

    Raises:
        ValueError: if no layer is named.

    Example:
        >>> contrast = custom(lambda a: a.flatten(1).std(1), "conv")
        >>> contrast.score({"conv": torch.tensor([[1.0, 2.0, 3.0]])})
        tensor([1.])
    """
    if not layers:
        raise ValueError("custom(function, …) needs the name of at least one layer")
    name = getattr(function, "__name__", type(function).__name__)

    def score(acts: Activations) -> Tensor:
        value = function(*(acts[layer] for layer in layers))
        batch = len(acts[layers[0]])
        if not isinstance(value, Tensor) or value.shape != (batch,):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} must return one score for each image, shape ({batch},), not {got}")
        return value

    def text(names: Names) -> str:
        return f"custom({names.function(function)}, {', '.join(map(repr, layers))})"

    return Objective((Term(score, tuple(layers), text),))


def _term(function: Callable[[Activations], Tensor], layer: str, text: str) -> Objective:
    return Objective((Term(function, (layer,), lambda names: text),))


def _channel(activations: Activations, layer: str, index: int) -> Tensor:
    activation = planes(activations, layer)
    if activation.dim() < 2:
        raise ValueError(f"layer {layer!r} has shape {tuple(activation.shape)}, without channels")
    count = activation.shape[1]
    if not -count <= index < count:
        raise ValueError(f"no channel {index}: layer {layer!r} has {count}, 0 to {count - 1}")
    return activation[:, index]


def _mean(values: Tensor) -> Tensor:
    return values if values.dim() == 1 else values.flatten(1).mean(1)


def _as_objective(value: Any) -> Objective:
    if isinstance(value, Objective):
        return value
    number = _number(value)

    def score(acts: Activations) -> Tensor:
        return next(iter(acts.values())).new_full(_batch(acts), 1.0)

    # A constant has no layer, so that it never makes the network run further.
    return Objective((Term(score, (), lambda names: "1", number),))


def _batch(acts: Activations) -> tuple[int]:
    return (len(next(iter(acts.values()))),)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"objectives combine with objectives and finite numbers, not {value!r}")
    return float(value)


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is a whole number, not {value!r}")
    return value.__index__()


def _product(mask: Tensor, other: Tensor) -> Tensor:
    if mask.shape != other.shape:
        raise ValueError(f"one mask has {tuple(mask.shape)} pixels, the other {tuple(other.shape)}")
    return mask * other.to(mask)


def _checked_mask(mask: Any) -> Tensor:
    try:
        mask = torch.as_tensor(mask).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"a mask is a tensor (height, width), not {type(mask).__name__}") from None
    if mask.dim() != 2 or not mask.numel():
        raise ValueError(f"a mask is (height, width), not {tuple(mask.shape)}")
    mask = mask if mask.is_floating_point() else mask.float()
    if not torch.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        raise ValueError(f"a mask lies in [0, 1]; this one goes from {mask.min():.4g} to {mask.max():.4g}")
    if not mask.any():
        raise ValueError("this mask is 0 everywhere, so nothing of the picture could change")
    return mask.clone()
