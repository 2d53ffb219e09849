"""The layers of a network as a picker lists them."""

from typing import Any

from torch import nn

from nbvis.engine import Layer, each_call, named

from .numbers import one_of


def layer_rows(found: list[Layer]) -> list[dict[str, Any]]:
    """{name, kind, shape: (channels, rows, columns) or shorter} of each layer with channels.

    A layer that is called several times is listed call by call too.
    """
    rows = []
    for layer in found:
        if len(layer.shape) > 1:
            about = {"kind": layer.kind, "shape": list(layer.planes_shape)}
            names = dict.fromkeys([layer.name, *each_call(layer.name, layer.calls)])
            rows += [{"name": name, **about} for name in names]
    return rows


def has_places(row: dict[str, Any]) -> bool:
    """Whether the channels of a layer have rows and columns, and more than one place in them."""
    shape = row["shape"]
    return len(shape) == 3 and shape[1] * shape[2] > 1


def possible_layer(name: str, module: nn.Module) -> str:
    """The name, if a part of the module may be called so; whether it is called shows only when the network runs.

    Raises:
        InvalidValueError: if none is; the message names near ones.
    """
    part, _, call = name.rpartition(":")
    names = [each for each in named(module) if each]
    return name if part in names and call.isdigit() else one_of("layer", name, names)
