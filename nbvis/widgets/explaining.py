"""What a SaliencyView asks the engine, as tasks that hold nothing but what they need."""

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbvis.engine import (
    METHODS,
    Attribution,
    Method,
    Network,
    Objective,
    PreprocessingCheck,
    activations,
    attribute,
    faithfulness,
    own_method,
    planes,
    preprocessing_check,
    randomization_check,
    unit,
)
from nbvis.sessions import Known, Refusal, Task, Tell, described

from .predicted import Predicted
from .views import figure

OPTIONS = {option.name: option for method in METHODS.values() for option in method.sliders}
"""The options of the methods that a slider sets, by name."""


class Asked(NamedTuple):
    """One map that somebody wants to see: all it depends on but the network and the image.

    Attributes:
        about: what stands for the state of the network and the image.
        method: which.
        target: a class, None for the predicted one, or an objective.
        layer: of the class activation map, or where the map lives; None for the image.
        options: (name, value) of the method's own options.
    """

    about: Hashable
    method: Method
    target: Any
    layer: str | None
    options: tuple[tuple[str, Any], ...]

    @property
    def label(self) -> str:
        """What the method is called on the panel."""
        return self.method.label

    @property
    def name(self) -> str:
        """What the method is called in code."""
        return self.method.name

    def arguments(self) -> dict[str, Any]:
        """What `attribute` gets beside the network, the image and the target."""
        layer = {} if self.layer is None else {"layer": self.layer}
        return {"method": self.method.name} | layer | dict(self.options)


def records(methods: Iterable[Method]) -> list[dict[str, Any]]:
    """The methods as the panel lists them: name, label, sentence, place and the names of their sliders."""
    return [
        {
            "name": method.name,
            "label": method.label,
            "sentence": method.sentence,
            "place": method.place.value,
            "sliders": [option.name for option in method.sliders],
        }
        for method in methods
    ]


def preprocessing_line(check: Any) -> tuple[str, str]:
    """What the network really sees, and how it fits: "good", "poor" or "unknown"."""
    if not isinstance(check, PreprocessingCheck):
        return (check.reason if isinstance(check, Refusal) else ""), "unknown"
    line = f"The network sees values from {figure(check.low)} to {figure(check.high)}"
    if check.probability is not None:
        line += f" and finds {check.label} ({check.probability:.2f})"
    compared = check.misfit is not None and check.candidates
    fit = "poor" if check.warning else "good" if compared else "unknown"
    return " ".join([f"{line}.", *([check.warning] if check.warning else check.notes)]), fit


def map_task(network: Network, image: Tensor, asked: Asked) -> Task:
    """Finds out one map."""
    return Task(asked, asked.label, functools.partial(_map, network, image, asked))


def faithfulness_task(network: Network, image: Tensor, asked: Asked, beside: Sequence[Asked]) -> Task:
    """Measures how faithful a map is that was found before; reference maps measured `beside` it are used again."""
    run = functools.partial(_faithfulness, network, image, asked, tuple(beside))
    return Task(("faithfulness", asked), f"Faithfulness of {asked.label}", run)


def sanity_task(network: Network, image: Tensor, asked: Asked) -> Task:
    """Finds out whether a map changes as the network forgets."""
    run = functools.partial(_sanity, network, image, asked)
    return Task(("sanity", asked), f"Sanity check of {asked.label}", run)


def preprocessing_task(network: Network, image: Tensor, about: Hashable) -> Task:
    """Finds out what the network really sees."""
    return Task(("preprocessing", about), "Preprocessing", functools.partial(_preprocessing, network, image))


def _given(asked: Asked) -> dict[str, Any]:
    return asked.arguments() | {"method": asked.method}


def _map(network: Network, image: Tensor, asked: Asked, tell: Tell, known: Known) -> Attribution:
    try:
        return attribute(network, image, asked.target, progress=tell, **_given(asked))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if asked.layer is None or not _runs(network, image):
            raise
        # That this method cannot follow to this layer says nothing of the maps beside it.
        raise ValueError(described(error)) from error


def _runs(network: Network, image: Tensor) -> bool:
    """Whether the network answers to the image as it is."""
    try:
        with torch.no_grad():
            network(image)
    except Exception:
        return False
    return True


def _faithfulness(
    network: Network, image: Tensor, asked: Asked, beside: tuple[Asked, ...], tell: Tell, known: Known
) -> Any:
    found = known(asked)
    earlier = None
    for each in beside:
        with contextlib.suppress(LookupError, ValueError):  # not measured yet, or refused
            earlier = known(("faithfulness", each))
            break
    return faithfulness(network, image, found, references=earlier, progress=tell)


def _sanity(network: Network, image: Tensor, asked: Asked, tell: Tell, known: Known) -> Any:
    return randomization_check(network, image, target=asked.target, progress=tell, **_given(asked))


def _preprocessing(network: Network, image: Tensor, tell: Tell, known: Known) -> Any:
    return preprocessing_check(network, image)


def own_methods(functions: Mapping[str, Callable[..., Tensor]]) -> dict[str, Method]:
    """A record of each.

    Raises:
        TypeError: if one of them is no function of three arguments.
        ValueError: if one is called as a method that there is.
    """
    taken = [*METHODS, *(method.label for method in METHODS.values())]
    for name, function in functions.items():
        if name in taken:
            raise ValueError(f"there is a method {name!r} already: call your own otherwise")
        if not callable(function):
            raise TypeError(f"own[{name!r}] is a function (module, inputs, target) → map, not {function!r}")
    return {name: own_method(function, name) for name, function in functions.items()}


def strongest(
    subject: Predicted, layer: str, place: tuple[int, int], clicked: tuple[int, int]
) -> tuple[tuple[str, int, int, int], tuple[int, int]]:
    """The unit with the highest activation at a place of a layer's grid."""
    values = planes(activations(subject.network, subject.shown, [layer]), layer)
    return (layer, int(values[0, :, place[0], place[1]].argmax()), *place), clicked


@functools.lru_cache(64)
def unit_at(layer: str, index: int, row: int, column: int) -> Objective:
    """The objective of a unit, always the same one."""
    return unit(layer, index, row, column)
