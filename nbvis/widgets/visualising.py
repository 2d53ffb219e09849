"""What a DreamCanvas asks of the engine where it draws out of noise."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbvis.engine import (
    PRESETS,
    Alpha,
    Fourier,
    ImageParameter,
    Maco,
    Network,
    Pixels,
    Steps,
    ascend,
)

LIVE = frozenset({"objective", "steps", "lr", "weight_noise", "transforms", "regularisers"})
"""What changes while a visualisation goes on; the rest begins it again."""

PARAMETERS = {
    "fourier": "smooth noise",
    "maco": "natural noise",
    "pixels": "pixels",
    "alpha": "transparent",
}
"""What a picture can be made of, with the panel's word for it."""

_MADE = {
    "fourier": "Fourier({size})",
    "maco": "Maco({size})",
    "pixels": "Pixels.noise({size})",
    "alpha": "Alpha(Fourier({size}), seed={seed})",
}


class Drawn(NamedTuple):
    """What a visualisation starts from; called, on the worker, it makes the first picture.

    Attributes:
        parameter: one of `PARAMETERS`.
        shape: (batch, channels, height, width).
        seed: of the noise.
    """

    parameter: str
    shape: tuple[int, ...]
    seed: int

    def __call__(self) -> Tensor:
        """The picture."""
        return _image(self)

    @property
    def source(self) -> str:
        """The image parameter as Python source."""
        batch, channels, height, width = self.shape
        several = f"batch={batch}, " if batch > 1 else ""
        size = f"{height}, {width}, {several}channels={channels}, seed={self.seed}"
        return _MADE[self.parameter].format(size=size, seed=self.seed)

    def made(self) -> ImageParameter:
        """The image parameter."""
        batch, channels, height, width = self.shape
        size: dict[str, Any] = {"batch": batch, "channels": channels, "seed": self.seed}
        if self.parameter == "maco":
            return Maco(height, width, **size)
        if self.parameter == "pixels":
            return Pixels.noise(height, width, **size)
        smooth = Fourier(height, width, **size)
        return Alpha(smooth, seed=self.seed) if self.parameter == "alpha" else smooth


@functools.lru_cache(4)
def _image(drawn: Drawn) -> Tensor:
    with torch.no_grad():
        return drawn.made().image()


def ascent_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `ascend` is given beside network, objective and image, from what the widget has."""
    if options["mode"] == "visualise" and options["preset"]:
        return PRESETS[options["preset"]] | {"seed": options["seed"]}
    names = ["steps", "lr", "transforms", "weight_noise", "seed"]
    names += ["regularisers"] if options["mode"] == "visualise" else []
    return {name: options[name] for name in names}


def visualise_run(network: Network, options: dict[str, Any]) -> Steps:
    """The run that the options ask for."""
    own: dict[str, Any] = ascent_options(options) | {"after": options.get("after")}
    return ascend(network, options["objective"], options["images"].made(), **own)
