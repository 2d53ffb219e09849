"""What a DropoutInverter asks of the engine."""

from typing import Any

from torch import Tensor

from nbvis.engine import OUTPUT, InversionSteps, Network, Noisy, invert_dropout, layers, row_numbers

from .rows import layer_rows

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The p of each row of a sweep."""

LIVE = frozenset({"lr", "tolerance"})
"""What changes while an inversion goes on; the rest begins it again."""

UNREACHED = "no dropout before it"


def rows_with_reasons(network: Network, image: Tensor) -> list[list[Any]]:
    """[name, kind, (channels, …), reason] of each layer; no reason ("") where dropout acts before it."""
    rows = layer_rows(layers(network, image))
    reached = Noisy(network, [OUTPUT], image).reached(image)
    return [[*row, "" if reached.get(row[0]) else UNREACHED] for row in rows]


def invert(network: Network, options: dict[str, Any]) -> InversionSteps:
    """The run that the options ask for, as `invert_dropout` takes them; several `p` are those of one mask.

    Raises:
        ValueError: if no layer is chosen, or dropout does not reach it.
    """
    layer, images, p = options.pop("layer"), options.pop("images"), options["p"]
    samples = options["samples"]
    if not layer:
        raise ValueError(f"{network.name} has no dropout: choose a layer and insert some there, with insert=True")
    if isinstance(p, tuple):
        # Rows draw from numbers of their own; here all draw from those of the first, so that p alone differs.
        start = images.to(network.device, network.precision)
        noisy, numbers = Noisy(network, [layer], start, None, options["insert"]), row_numbers(start, 1, options["seed"])
        options["masks"] = noisy.noisy(start.repeat(len(p), 1, 1, 1), numbers * len(p), p, {}, len(p)).masks
    rows = [f"p {level:g}" for level in p] if isinstance(p, tuple) else [f"sample {k + 1}" for k in range(samples)]
    return invert_dropout(network, layer, images, names=rows if len(rows) > 1 else ["the picture"], **options)
