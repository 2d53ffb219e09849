"""Methods of attribution: the record in which everything that is known about one stands beside its function."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Place(Enum):
    """Where a method's maps can live."""

    ANYWHERE = "anywhere"
    """At the pixels of the images, or at a layer."""
    IMAGES = "images"
    """At the pixels alone."""
    GRID = "grid"
    """On the rows and columns of a layer, enlarged to the images."""


class Found(NamedTuple):
    """What a method finds.

    Attributes:
        map: signed, (batch, channels, height, width) or (batch, 1, height, width).
        score: of the target for each image, (batch,).
        notes: sentences to keep in mind when reading the map.
    """

    map: Tensor
    score: Tensor
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Option:
    """A number that can be set on a method, as a slider shows it.

    Attributes:
        name: of the keyword argument; methods may share one, and then its bounds.
        label: what it is called on a panel.
        default: what it is to begin with.
        low: the least value.
        high: the greatest value that a slider offers.
        help: a sentence on what it does.
        unit: behind the value, such as "px".
        whole: whether it is a count.
        log: whether equal ways on a slider are equal ratios.
    """

    name: str
    label: str
    default: float
    low: float
    high: float
    help: str
    unit: str = ""
    whole: bool = False
    log: bool = False


@dataclass(frozen=True)
class Method:
    """Everything that is known about an attribution method.

    Attributes:
        function: (passes, **options) → what was found.
        label: what it is called on a panel.
        sentence: what its map shows.
        name: what it is called in code; the function's own name if empty.
        place: where its maps can live.
        by_size: whether a pixel counts by the size of its value, whose sign is the direction of the change.
        gradients: whether it takes gradients, or scores only.
        sliders: the options that a slider sets.
    """

    function: Callable[..., Found]
    label: str
    sentence: str
    name: str = ""
    place: Place = Place.ANYWHERE
    by_size: bool = False
    gradients: bool = True
    sliders: tuple[Option, ...] = ()

    def __post_init__(self):
        """Names it after its function."""
        object.__setattr__(self, "name", self.name or self.function.__name__)

    def check(self, layer: str | None, options: dict[str, Any]) -> None:
        """Refuses a layer or options that the method does not have.

        Raises:
            TypeError: if it has no such option.
            ValueError: if its map cannot live at a layer.
        """
        taken = [name for name in inspect.signature(self.function).parameters if name != "passes"]
        for name in options:
            if name not in taken:
                raise TypeError(f"{self.name} has no option {name!r}; it takes {', '.join(taken) or 'none'}")
        if self.place is Place.IMAGES and layer is not None:
            raise ValueError(f"{self.name} explains the pixels of the image, so its map cannot live at layer {layer!r}")


def baseline_like(images: Tensor, baseline: float | Tensor) -> Tensor:
    """A baseline given as a number or a tensor, as a batch like the images.

    Raises:
        ValueError: if it does not fit the images.
    """
    given = torch.as_tensor(baseline).detach().to(images)
    try:
        return given.expand_as(images).clone()
    except RuntimeError:
        raise ValueError(
            f"the baseline is a number or a tensor that fits {tuple(images.shape)}, not one of {tuple(given.shape)}"
        ) from None
