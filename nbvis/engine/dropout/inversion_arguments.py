"""The arguments of `invert_dropout`, checked before any work starts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..arguments import number
from ..network.images import Images, checked_images
from .descent import Bounds

Layers = str | Sequence[str] | Mapping[str, float]


@dataclass(frozen=True)
class InversionSettings:
    """What may change between two steps of an inversion."""

    lr: float
    tolerance: float

    def __post_init__(self):
        """Raises `ValueError` for a value that a run cannot have."""
        number(self.lr, "lr")
        if not (isinstance(self.tolerance, int | float) and 0 <= self.tolerance < math.inf):
            raise ValueError(f"tolerance is a loss from 0 up, not {self.tolerance!r}")


def checked_weights(layer: Layers) -> dict[str, float]:
    """The weight of each layer by name, 1 where none is given."""
    names = [layer] if isinstance(layer, str) else layer
    weights = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 1.0)
    if not weights or not all(isinstance(w, int | float) and 0 < w < math.inf for w in weights.values()):
        raise ValueError(f"layer is a name, several, or {{name: weight}} with weights above 0, not {layer!r}")
    return weights


def checked_levels(p: float | Sequence[float] | Tensor | None, rows: int, together: int) -> list[float | None]:
    """The probability of dropping in each row, one for each `together` rows; None for every dropout's own."""
    if p is None:
        return [None] * rows
    try:
        levels = torch.as_tensor(p, dtype=torch.float64).cpu()
    except (TypeError, ValueError):
        levels = torch.tensor(torch.nan)
    if levels.dim() > 1 or (levels.dim() and len(levels) != rows) or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"p is a probability from 0 to 1, or one for each of the {rows} rows, not {p!r}")
    found = levels.expand(rows).tolist()
    if any(found[k] != found[k - k % together] for k in range(rows)):
        raise ValueError('with active="train" the samples of a picture are one batch and share one p')
    return found


def images_within(images: Images, bounds: Bounds) -> Tensor:
    """The images as a batch, if all their pixels lie within the bounds."""
    images = checked_images(images, bounded=bounds == (0, 1))
    if bounds is not None and (images.min() < bounds[0] or images.max() > bounds[1]):
        raise ValueError(f"images must lie in bounds={bounds}, not in [{images.min():.4g}, {images.max():.4g}]")
    return images


def checked_bounds(bounds: Bounds) -> Bounds:
    """The bounds as (lowest, highest), or None for none."""
    if bounds is None:
        return None
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not low < high:
        raise ValueError(f"bounds is (lowest, highest) or None, not {bounds!r}")
    return low, high


def checked_names(names: Sequence[str] | None, rows: int) -> Sequence[str] | None:
    """What the rows are called, if anything."""
    if names is not None and len(names) != rows:
        raise ValueError(f"names are those of the {rows} rows, not {names!r}")
    return names
