"""What was accumulated for a layer as arrays, and back."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .layer_statistics import LayerStatistics, Options


def tensors(layer: LayerStatistics) -> dict[str, Any]:
    """All that was accumulated, by name: tensors and numbers."""
    parts = {"moments": layer.moments, "bins": layer.bins, "highest": layer.highest, "lowest": layer.lowest}
    parts |= {} if layer.pairs is None else {"pairs": layer.pairs}
    return {f"{part}.{key}": value for part, each in parts.items() for key, value in vars(each).items()}


def array_of(value: Any) -> np.ndarray:
    """A tensor or a number as an array."""
    return value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def restored(
    layers: Iterable[Mapping[str, Any]], arrays: Mapping[str, np.ndarray], options: Options
) -> Iterator[LayerStatistics]:
    """Layers from what was told of each and their arrays, by number and name.

    Raises:
        KeyError, TypeError, ValueError: if that is not what was stored.
    """
    for number, each in enumerate(layers):
        low, high = each["cap"]
        kind, shape = str(each["kind"]), tuple(map(int, each["shape"]))
        empty = torch.empty(0, dtype=torch.float64)
        layer = LayerStatistics(str(each["name"]), kind, shape, (low, high), options, empty)
        for key, value in tensors(layer).items():
            _restore(layer, key, value, arrays[f"{number}.{key}"])
        yield layer


def _restore(layer: LayerStatistics, key: str, empty: Any, array: np.ndarray) -> None:
    part, _, name = key.partition(".")
    value: Any = torch.from_numpy(array.copy()) if array.ndim else type(empty)(array.item())
    if isinstance(empty, Tensor) and (not isinstance(value, Tensor) or value.shape != empty.shape):
        raise ValueError(f"{layer.name} {key} has shape {array.shape}, not {tuple(empty.shape)}")
    setattr(getattr(layer, part), name, value)
