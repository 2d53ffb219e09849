"""The layers of a network as a picker lists them."""

from typing import Any

from nbvis.engine import Layer


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
