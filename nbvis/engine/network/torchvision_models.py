"""torchvision's models: a module with the normalisation, categories and crop size that come with its weights."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..arguments import near


class TorchvisionModel(NamedTuple):
    """A model and what its weights bring along, as `Network` takes it; None for what they do not say."""

    module: nn.Module
    preprocess: Callable[[Tensor], Tensor] | None = None
    labels: list[str] | None = None
    input_size: tuple[int, int] | None = None


def torchvision_model(name: str, weights: str | None) -> TorchvisionModel:
    """The model of a name with the weights of a name, "DEFAULT" for the best, or None for random ones.

    Raises:
        ValueError: if there is no such model or no such weights; the message names those there are.
    """
    from torchvision import models

    if name not in models.list_models():
        raise ValueError(f"torchvision has no model {name!r}{near(name, models.list_models())}")
    chosen: Any = None
    if weights is not None:
        available = models.get_model_weights(name)
        if weights not in available.__members__:
            raise ValueError(f"{name} has no weights {weights!r}{near(weights, list(available.__members__))}")
        chosen = available[weights]
    # Aux heads and random initialisation of weights that are overwritten anyway would consume the caller's RNG.
    with torch.random.fork_rng(devices=[]):
        module = models.get_model(name, weights=chosen).eval()
    if chosen is None:
        return TorchvisionModel(module)
    preset = chosen.transforms()
    return TorchvisionModel(
        module,
        _normalize(preset.mean, preset.std) if hasattr(preset, "mean") else None,  # detectors normalise inside
        list(chosen.meta["categories"]),
        (preset.crop_size[0], preset.crop_size[0]) if hasattr(preset, "crop_size") else None,  # segmentation: any size
    )


def _normalize(mean: Sequence[float], std: Sequence[float]) -> Callable[[Tensor], Tensor]:
    def normalize(images: Tensor) -> Tensor:
        centre = images.new_tensor(mean).view(-1, 1, 1)
        return (images - centre) / images.new_tensor(std).view(-1, 1, 1)

    return normalize
