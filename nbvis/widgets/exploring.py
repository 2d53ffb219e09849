"""What a LayerExplorer asks the engine, as tasks that hold nothing but what they need."""

import dataclasses
import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbvis.engine import METHODS, Attribution, Network, Objective, attribute
from nbvis.sessions import Known, Task, Tell, described

from .explored import strongest_place
from .shown_calls import Calls, as_maps, every_map

OFF = "off"
RULES = ("gradient", "deconvnet", "guided_backprop")
"""How a signal is sent back."""
SEEDS = {
    "map": ("Whole channel", "The channel's own activations go back, each from its place, as in the toolbox."),
    "place": ("One place", "A one goes back from the chosen place alone."),
}
"""What is sent back: its label and a sentence."""


class Maps(NamedTuple):
    """The question for a layer's activations.

    Attributes:
        about: what stands for the state of the network and the image.
        layer: its name.
    """

    about: Hashable
    layer: str


class Back(NamedTuple):
    """The question for what comes back.

    Attributes:
        about: what stands for the state of the network and the image.
        rule: one of `RULES`.
        layer: where it begins.
        channel: which.
        seed: one of `SEEDS`.
        place: (row, column) where it begins if one place does, None for the strongest.
        at: the layer where it is looked at; None for the image.
    """

    about: Hashable
    rule: str
    layer: str
    channel: int
    seed: str
    place: tuple[int, int] | None
    at: str | None

    @property
    def label(self) -> str:
        """What is computed, for whoever waits."""
        return f"{METHODS[self.rule].label} from {self.layer}:{self.channel}"

    def objective(self, place: tuple[int, int] | None, calls: Calls) -> Objective:
        """What is derived.

        Args:
            place: of the unit, if it is one.
            calls: of the layer.
        """
        return calls.whole(self.channel) if self.seed == "map" else calls.one(self.channel, place)


def records() -> list[dict[str, Any]]:
    """The ways back as the panel lists them: name, label and sentence."""
    off = {"name": OFF, "label": "Off", "sentence": "Nothing is sent back."}
    return [off, *({"name": n, "label": METHODS[n].label, "sentence": METHODS[n].sentence} for n in RULES)]


def maps_task(network: Network, image: Tensor, asked: Maps, calls: Calls) -> Task:
    """Finds out the activations of a layer."""
    return Task(asked, f"Activations of {asked.layer}", functools.partial(_maps, network, image, calls))


def nearby_maps(network: Network, image: Tensor, about: Hashable, wanted: Mapping[str, Calls]) -> dict[Maps, Tensor]:
    """The activations of several layers by one pass, each as the answer to its question."""
    found = every_map(network, image, [*wanted.values()])
    return {Maps(about, name): maps for name, maps in zip(wanted, found, strict=True)}


def back_found(network: Network, image: Tensor, asked: Back, origin: Calls, maps: Tensor) -> dict[Back, Attribution]:
    """What comes back at the image from a layer with these activations, as the answer to its question."""
    return {asked: _back(network, image, asked, origin, None, _unheard, lambda question: maps)}


def back_task(network: Network, image: Tensor, asked: Back, origin: Calls, at: Calls | None = None) -> Task:
    """Finds out what comes back from the calls of its origin at the image, or at those of another layer."""
    return Task(asked, asked.label, functools.partial(_back, network, image, asked, origin, at))


def _maps(network: Network, image: Tensor, calls: Calls, tell: Tell, known: Known) -> Tensor:
    return calls.maps(network, image)


def _back(
    network: Network, image: Tensor, asked: Back, origin: Calls, at: Calls | None, tell: Tell, known: Known
) -> Attribution:
    place = asked.place
    if asked.seed == "place" and place is None and (origin.grid or len(origin.names) > 1):
        try:
            maps = known(Maps(asked.about, asked.layer))
        except LookupError:  # the origin stays while another layer is looked at
            maps = origin.maps(network, image)
        place = strongest_place(maps[asked.channel])
    objective = asked.objective(place, origin)
    try:
        found = [attribute(network, image, objective, method=asked.rule, layer=n) for n in (at.names if at else [None])]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ValueError(described(error)) from error
    return found[0] if len(found) == 1 else _beside(found)


def _unheard(done: int, total: int, so_far: Any = None) -> None:
    """Nobody waits for it."""


def _beside(found: Sequence[Attribution]) -> Attribution:
    """What came back at the calls of one layer, side by side."""
    maps = torch.cat([as_maps(each.map[0]) for each in found], -1)[None]
    notes = dict.fromkeys(note for each in found for note in each.notes)
    return dataclasses.replace(found[0], map=maps, notes=[*notes])


def gradient_maps(found: Attribution) -> Tensor:
    """What came back at a layer, (channels, rows, columns)."""
    return as_maps(found.map[0])
