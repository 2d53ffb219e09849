"""The layers of a network as a picker lists them."""

from typing import Any

from torch import nn

from nbvis.engine import Layer, named

from .numbers import one_of


def layer_rows(found: list[Layer]) -> list[list[Any]]:
    """[name, kind, (channels, rows, columns) or shorter] of each layer with channels.

    A layer that is called several times is listed call by call too.
    """
    rows = []
    for layer in found:
        if len(layer.shape) > 1:
            calls = [f"{layer.name}:{n}" for n in range(layer.calls)] if layer.calls > 1 else []
            rows += [[name, layer.kind, list(layer.planes_shape)] for name in [layer.name, *calls]]
    return rows


def possible_layer(name: str, module: nn.Module) -> str:
    """The name, if a part of the module may be called so; whether it is called shows only when the network runs.

    Raises:
        InvalidValueError: if none is; the message names near ones.
    """
    part, _, call = name.rpartition(":")
    names = [each for each in named(module) if each]
    return name if part in names and call.isdigit() else one_of("layer", name, names)
