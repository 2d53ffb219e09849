"""What a DreamCanvas asks of the engine."""

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nbvis.engine import (
    Network,
    Objective,
    Steps,
    activity,
    channel,
    check_objective,
    differentiable,
    keep_dreaming,
    octave_sizes,
    smallest_size,
)
from nbvis.sessions import made

from .given import Given
from .subject import Subject
from .terms import is_plain, unit_of
from .visualising import Drawn

OPTIONS = ("octaves", "octave_scale", "steps", "lr", "jitter", "rotation", "seed")
"""What `dream` is given beside network, objective and image."""

LOOP = ("rounds", "zoom", "turn")
"""What `keep_dreaming` is given beside that."""

LIVE = frozenset({"objective", "lr", "steps", "seconds", "jitter", "rotation", *LOOP})
"""What changes while a dream goes on; the rest begins it again."""


def dream_run(network: Network, options: dict[str, Any]) -> Steps:
    """The run that the options ask for, as `keep_dreaming` has it; an error says if its smallest octave may be why."""
    images, octaves = made(options["images"]), options["octaves"]
    own: dict[str, Any] = {name: options[name] for name in OPTIONS + LOOP} | {"after": options.get("after")}
    try:
        return keep_dreaming(network, options["objective"], images, **own)
    except RuntimeError as error:
        if octaves == 1:
            raise
        height, width = octave_sizes(images.shape[2], images.shape[3], octaves, options["octave_scale"])[0]
        small = (
            f"The smallest of {octaves} octaves has {height} × {width} pixels: fewer octaves or a smaller octave scale"
        )
        raise RuntimeError(f"{error}. {small} keep it larger.") from error


@functools.lru_cache(4096)
def objective_of(layer: str, index: int | None) -> Objective:
    """The objective of a layer and channel, always the same one; None for the whole layer."""
    return activity(layer) if index is None else channel(layer, index)


def canonical(objective: Objective) -> Objective:
    """The objective, always the same one for a layer or channel by itself."""
    plain = unit_of(objective, 0) if is_plain(objective) else None
    return objective_of(*plain) if plain else objective


def _noise_shape(network: Network) -> tuple[int, ...]:
    first = next((m for m in network.module.modules() if isinstance(m, nn.Conv2d)), None)
    return (1, first.in_channels if first else 3, *(network.input_size or (224, 224)))


def dream_subject(network: Network, given: Given | None) -> Subject:
    """The network with a picture, or with noise of the size that it takes."""
    return Subject(network, given, None if given else Drawn("fourier", _noise_shape(network), 0)())


class Tried(NamedTuple):
    """What passes of small pictures told about a network.

    Attributes:
        smallest: the shorter side of pictures it runs on, pixels.
        flows: the layers from which a gradient flows back; None if that could not be tried.
        classes: how many it tells apart; 0 if its output has none.
    """

    smallest: int
    flows: set[str] | None
    classes: int = 0


def tried(network: Network, start: Tensor | Drawn) -> Tried:
    """Tries how small a picture may be, from where a gradient flows back, and how many classes there are."""
    image = made(start)
    smallest = smallest_size(network, image)
    small = image[..., : 2 * smallest, : 2 * smallest]
    try:
        with torch.no_grad():
            output = network(small)
        classes = output.shape[1] if isinstance(output, Tensor) and output.dim() == 2 else 0
        return Tried(smallest, differentiable(network, small), classes)
    except Exception:  # the run will say it in its own words
        return Tried(smallest, None)


def checked(network: Network, objective: Objective, start: Tensor | Drawn) -> Objective:
    """The objective, if it fits the network and the image."""
    check_objective(network, objective, made(start))
    return objective


def middle(found: list[dict[str, Any]]) -> str:
    """A layer a little past the middle, where textures become parts of things; whole blocks before what is in them."""
    names = {row["name"] for row in found}
    blocks = [row for row in found if not any(row["name"].startswith(f"{name}.") for name in names)]
    maps = [row["name"] for row in blocks if len(row["shape"]) == 3] or [row["name"] for row in blocks]
    if not maps:
        raise ValueError("the network has no layer with channels: give an objective, such as activity('')")
    return maps[len(maps) * 4 // 7]
