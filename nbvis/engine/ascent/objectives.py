"""The objectives there are: channel, unit, logit, activity, energy, and those of your own; higher is better."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..network.layer_names import OUTPUT
from ..network.layout import planes
from .objective import Activations, Objective, Term
from .objective_source import Names


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


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is a whole number, not {value!r}")
    return value.__index__()
