"""What a DropoutInverter asks of the engine."""

from collections.abc import Sequence
from typing import Any

from nbvis.engine import OUTPUT, InversionSteps, Network, Noisy, invert_dropout, layers, row_numbers

from .rows import layer_rows
from .subject import Subject

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The p of each row of a sweep."""

LIVE = frozenset({"lr", "tolerance"})
"""What changes while an inversion goes on; the rest begins it again."""

UNREACHED = "no dropout before it"


class DroppedSubject(Subject):
    """A network with dropout, and a picture.

    Attributes:
        layers: also with the `reason` why dropout does not act there, "" where it does.
        reached: the names of the layers that it acts before.
    """

    reached: Sequence[str] = ()

    def _find(self, *wanted: Any) -> None:
        reached = Noisy(self.network, [OUTPUT], self.image).reached(self.image)
        rows = layer_rows(layers(self.network, self.image))
        self.layers = [{**row, "reason": "" if reached.get(row["name"]) else UNREACHED} for row in rows]
        self.reached = [row["name"] for row in self.layers if not row["reason"]]


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
